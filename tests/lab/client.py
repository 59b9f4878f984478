#!/usr/bin/env python3
"""Drives a real WinRM client, pypsrp or pywinrm, and prints what came of it as one line of JSON.

One run:       client.py --client pypsrp-cmd --url URL --cert PEM --key PEM --ca PEM --command whoami
Many runs:     … --repeat N --threads M   prints how often each output came, and the errors
Several jobs:  client.py --jobs FILE      FILE holds a JSON list of objects, each with the options of one run; one line for each

By a ticket: --auth kerberos (or negotiate) --keytab FILE, or a credentials cache in the environment; --delegate forwards it.
By a password: --auth basic, ntlm, kerberos or negotiate with --user NAME --password TEXT.
Where the server knows the caller by other means (a loopback listener): --auth none.
"""

import argparse
import base64
import collections
import concurrent.futures
import json
import os
import socket
import sys
import time
import urllib.parse

AUTH = ("certificate", "kerberos", "negotiate", "ntlm", "basic", "ssl", "plaintext", "none")
CLIENTS = ("pypsrp-cmd", "pypsrp-ps", "pypsrp-connect", "pywinrm", "pywinrm-ps")
_resolved = {}
_getaddrinfo = socket.getaddrinfo


def resolve_on_loopback(host, port, *arguments, **options):
    """`socket.getaddrinfo` with the names of `--resolve`."""
    return _getaddrinfo(_resolved.get((host, int(port or 0)), host), port, *arguments, **options)


def arguments(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", choices=CLIENTS, default="pypsrp-cmd")
    parser.add_argument("--url")
    parser.add_argument("--auth", choices=AUTH, default="certificate")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--delegate", action="store_true", help="forward the ticket")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--ca")
    parser.add_argument("--keytab", help="whose keys to use with --auth kerberos")
    parser.add_argument("--service", default="HTTP", help="the service class of the host's principal")
    parser.add_argument("--encrypt", choices=("auto", "always", "never"), default="auto", help="seal messages")
    parser.add_argument("--resolve", action="append", default=[], metavar="NAME:PORT:ADDRESS")
    parser.add_argument("--command")
    parser.add_argument("--script")
    parser.add_argument("--stdin", metavar="FILE")
    parser.add_argument("--operation-timeout", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", metavar="FILE")
    return parser.parse_args(words)


class Pypsrp:
    """pypsrp, with a session that is kept for several runs."""

    def __init__(self, options):
        from pypsrp.client import Client

        url = urllib.parse.urlsplit(options.url)
        path = url.path.lstrip("/") + (f"?{url.query}" if url.query else "")
        tls = url.scheme == "https"
        auth = {"none": "basic"}.get(options.auth, options.auth)
        # Basic has nothing to seal with, and pypsrp refuses it over HTTP unless told so.
        encryption = "never" if options.auth == "none" or (options.auth == "basic" and not tls) else options.encrypt
        self._client = Client(
            url.hostname,
            port=url.port,
            path=path,
            ssl=tls,
            auth=auth,
            encryption=encryption,
            certificate_pem=options.cert,
            certificate_key_pem=options.key,
            cert_validation=options.ca or True,
            username=options.user,
            password=options.password,
            negotiate_service=options.service,
            negotiate_delegate=options.delegate,
            operation_timeout=options.operation_timeout,
            read_timeout=options.operation_timeout + 30,
            connection_timeout=15,
            reconnection_retries=0,
            no_proxy=True,
        )
        if options.auth == "none":
            self._client.wsman.transport._build_auth_basic = lambda session: None
        self._options = options

    def run(self):
        if self._options.client == "pypsrp-ps":
            output, streams, failed = self._client.execute_ps(self._options.script or self._options.command)
            return output, "\n".join(map(str, streams.error)), int(failed)
        if self._options.client == "pypsrp-connect":
            return self._run_disconnected()
        if self._options.stdin:
            return self._run_with_input()
        return self._client.execute_cmd(self._options.command, encoding="utf-8")

    def _run_disconnected(self):
        """Starts a script, disconnects, and finds and connects it again as another client would."""
        from pypsrp.powershell import PowerShell, RunspacePool

        pool = RunspacePool(self._client.wsman)
        pool.open()
        script = PowerShell(pool).add_script(self._options.script)
        script.begin_invoke()
        pool.disconnect()
        (found,) = [other for other in RunspacePool.get_runspace_pools(self._client.wsman) if other.id == pool.id]
        found.connect()
        (script,) = found.create_disconnected_power_shells()
        output = script.connect()
        found.close()
        return "\n".join(map(str, output)), "\n".join(map(str, script.streams.error)), int(script.had_errors)

    def _run_with_input(self):
        from pypsrp.shell import Process, SignalCode, WinRS

        with open(self._options.stdin, "rb") as file:
            data = file.read()
        with WinRS(self._client.wsman) as shell:
            process = Process(shell, self._options.command)
            process.begin_invoke()
            process.send(data, end=True)
            process.end_invoke()
            process.signal(SignalCode.TERMINATE)
        return process.stdout.decode(), process.stderr.decode(), process.rc

    def close(self):
        self._client.close()


class Pywinrm:
    """pywinrm by its Protocol, the only way in which it keeps the URL's path."""

    def __init__(self, options):
        from winrm.protocol import Protocol

        transport = {"none": "plaintext"}.get(options.auth, options.auth)
        self._protocol = Protocol(
            options.url,
            transport=transport,
            # Whose name: with Kerberos that of the credentials; with a certificate nobody's, but one must be given.
            username=None if options.auth == "kerberos" else options.user or "nobody",
            password=options.password or "",
            kerberos_delegation=options.delegate,
            cert_pem=options.cert,
            cert_key_pem=options.key,
            ca_trust_path=options.ca,
            service=options.service,
            message_encryption="never" if options.auth == "none" else options.encrypt,
            operation_timeout_sec=options.operation_timeout,
            read_timeout_sec=options.operation_timeout + 30,
            proxy=None,
        )
        self._options = options

    def run(self):
        options, protocol = self._options, self._protocol
        session = protocol.transport.build_session()
        if options.auth == "none":
            session.auth = None
        command = options.command
        if options.client == "pywinrm-ps":
            command = "powershell -encodedcommand " + base64.b64encode((options.script or command).encode("utf-16-le")).decode()
        shell = protocol.open_shell(codepage=65001)
        try:
            running = protocol.run_command(shell, command)
            if options.stdin:
                with open(options.stdin, "rb") as file:
                    protocol.send_command_input(shell, running, file.read(), end=True)
            out, err, code = protocol.get_command_output(shell, running)
            protocol.cleanup_command(shell, running)
        finally:
            protocol.close_shell(shell, close_session=False)
        return out.decode(), err.decode(), code

    def close(self):
        self._protocol.transport.close_session()


def connect(options):
    for entry in options.resolve:
        name, port, address = entry.split(":")
        _resolved[name, int(port)] = address
    if options.keytab:
        os.environ["KRB5_CLIENT_KTNAME"] = f"FILE:{options.keytab}"
        os.environ["KRB5CCNAME"] = f"MEMORY:{os.path.basename(options.keytab)}"
    return (Pywinrm if options.client.startswith("pywinrm") else Pypsrp)(options)


def fault_code(error):
    """WinRM's own number, by the name that the client gives to it."""
    if type(error).__name__ != "WSManFaultError":
        return None
    return error.wsman_fault_code if hasattr(error, "wsman_fault_code") else error.code


def once(options):
    """One run."""
    started = time.monotonic()
    result = {"stdout": "", "stderr": "", "rc": None, "error": None, "fault_code": None}
    client = None
    try:
        client = connect(options)
        result["stdout"], result["stderr"], result["rc"] = client.run()
    except Exception as error:  # Whatever a client raises is what its user sees.
        result["error"] = f"{type(error).__name__}: {error}"
        result["fault_code"] = fault_code(error)
    finally:
        if client:
            client.close()
    return {**result, "seconds": round(time.monotonic() - started, 3)}


def many(options):
    """`repeat` runs over `threads` sessions."""
    outputs, errors, latencies = collections.Counter(), collections.Counter(), []

    def work(count):
        client = connect(options)
        for _ in range(count):
            began = time.monotonic()
            try:
                outputs[client.run()[0].strip()] += 1
            except Exception as error:
                errors[f"{type(error).__name__}: {error}"] += 1
            latencies.append(time.monotonic() - began)
        client.close()

    started = time.monotonic()
    shares = [options.repeat // options.threads + (n < options.repeat % options.threads) for n in range(options.threads)]
    with concurrent.futures.ThreadPoolExecutor(options.threads) as pool:
        for done in [pool.submit(work, share) for share in shares]:
            done.result()
    seconds = time.monotonic() - started
    latencies.sort()
    return {
        "outputs": outputs,
        "errors": errors,
        "seconds": round(seconds, 3),
        "runs_per_second": round(options.repeat / seconds, 1),
        "median_ms": round(latencies[len(latencies) // 2] * 1000, 1),
        "p99_ms": round(latencies[len(latencies) * 99 // 100] * 1000, 1),
    }


def jobs(path):
    with open(path) as file:
        for job in json.load(file):
            words = []
            for name, value in job.items():
                for one in value if isinstance(value, list) else [value]:
                    words += [f"--{name.replace('_', '-')}", *([] if one is True else [str(one)])]
            yield arguments(words)


def main():
    socket.getaddrinfo = resolve_on_loopback
    options = arguments(sys.argv[1:])
    if options.jobs:
        for job in jobs(options.jobs):
            print(json.dumps(once(job)), flush=True)
    else:
        print(json.dumps(many(options) if options.repeat else once(options)))


if __name__ == "__main__":
    main()
