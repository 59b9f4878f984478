#!/usr/bin/env python3
"""Verifies a pack of audit records offline: python3 verify.py [--public-key KNOWN.pem]

Exit 0: the chain holds and every signature is right. 1: something was changed. 2: it could not be checked.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

OWN, PREVIOUS, SEQUENCE = b',"event.hash":"', b',"winrm.previous_hash":"', b',"event.sequence":'
DER = bytes.fromhex("302a300506032b6570032100")


class Wrong(Exception):
    """What is wrong, and where."""


def pem(key):
    der = base64.b64encode(DER + base64.b64decode(key)).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n"


def signed(key, message, signature):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "key").write_text(pem(key))
        (folder / "message").write_bytes(message.encode())
        (folder / "signature").write_bytes(base64.b64decode(signature))
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", folder / "key", "-rawin",
                   "-in", folder / "message", "-sigfile", folder / "signature"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def read(line):
    """Number, previous hash, hash and digest of a whole record."""
    content, own, rest = line.rpartition(OWN)
    before, previous_name, previous = content.rpartition(PREVIOUS)
    _, sequence_name, number = before.rpartition(SEQUENCE)
    if not (own and previous_name and sequence_name) or len(rest) != 66 or rest[64:] != b'"}' or len(previous) != 65 or previous[64:] != b'"':
        raise Wrong("this is no record")
    digest = hashlib.sha256(content).digest()
    return int(number), bytes.fromhex(previous[:64].decode()), bytes.fromhex(rest[:64].decode()), digest


class Check:
    def __init__(self, folder):
        self.folder, self.seq, self.hash, self.key, self.trusted = folder, None, None, None, None
        self.whole = self.digests = self.checkpoints = self.signed = 0

    def line(self, line):
        if line.startswith(b'{"digest":'):
            stub = json.loads(line)
            if self.seq is None or stub["omitted"] != self.seq + 1:
                raise Wrong(f"record {stub['omitted']} does not follow record {self.seq}")
            self.seq += 1
            self.hash = hashlib.sha256(self.hash + bytes.fromhex(stub["digest"])).digest()
            self.digests += 1
            return
        seq, previous, own, digest = read(line)
        if hashlib.sha256(previous + digest).digest() != own:
            raise Wrong(f"record {seq} was altered")
        if self.seq is not None and (seq, previous) != (self.seq + 1, self.hash):
            raise Wrong(f"record {seq} does not follow record {self.seq}")
        self.whole += 1
        before = (seq - 1, previous)
        self.seq, self.hash = seq, own
        self.record(json.loads(line), before)

    def record(self, record, before):
        action = record["event.action"]
        if action == "key":
            word = record.get("winrm.endorsement")
            if self.key and not (word and word["former"] == self.key and word["key"] == record["winrm.key"] and signed(
                    self.key, f"winrm-gateway audit key 1\n{word['former']}\n{word['key']}\n", word["signature"])):
                raise Wrong(f"record {self.seq}: another key signs, and the former one has not endorsed it")
            self.key = record["winrm.key"]
        elif action == "checkpoint":
            key, message = record["winrm.key"], f"winrm-gateway audit checkpoint 1\n{before[0]}\n{before[1].hex()}\n{record['@timestamp']}\n"
            if self.key not in (None, key):
                raise Wrong(f"record {self.seq}: the checkpoint is signed by another key")
            if not signed(key, message, record["winrm.signature"]):
                raise Wrong(f"record {self.seq}: the checkpoint's signature is wrong")
            self.key, self.signed, self.checkpoints = key, self.seq, self.checkpoints + 1
        elif action == "configuration":
            text = (self.folder / record["file.name"]).read_bytes()
            if hashlib.sha256(text).hexdigest() != record["file.hash.sha256"]:
                raise Wrong(f"{record['file.name']} was altered")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public-key", type=pathlib.Path, help="the key that the operator has published")
    arguments = parser.parse_args()
    folder = pathlib.Path(__file__).resolve().parent
    check = Check(folder)
    try:
        with open(folder / "records.jsonl", "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    raise Wrong("the last line has no end")
                check.line(line[:-1])
        known = arguments.public_key or folder / "public-key.pem"
        if check.key and "".join(known.read_text().split()) != "".join(pem(check.key).split()):
            raise Wrong(f"{known.name} is not the key that signed last")
        if arguments.public_key and not check.checkpoints:
            raise Wrong("nothing is signed")
    except (Wrong, ValueError, KeyError) as error:
        print(f"NOT INTACT: {error}")
        return 1
    except OSError as error:
        print(f"cannot be checked: {error}")
        return 2
    unsigned = "" if check.signed == check.seq else f", {check.seq - check.signed} records after the last signature"
    print(f"intact: {check.whole} records whole and {check.digests} as digests; {check.checkpoints} signatures{unsigned}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
