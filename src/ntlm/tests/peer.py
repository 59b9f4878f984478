"""The other side of a handshake: pyspnego's own NTLM, driven line by line.

usage: peer.py initiate|accept raw|spnego BINDING-HEX|-

step B64|-      -> token B64|- open|done
wrap B64        -> sealed HEADER DATA
unwrap HDR DATA -> plain B64
who             -> who NAME
Anything that fails answers `failed TYPE: TEXT` and ends the process.
"""

import base64
import os
import sys
import tempfile

from spnego._negotiate import NegotiateProxy
from spnego._ntlm import NTLMProxy
from spnego.channel_bindings import GssChannelBindings


class OnlyNtlm(NegotiateProxy):
    """SPNEGO without Kerberos, whichever libraries are installed."""

    @classmethod
    def available_protocols(cls, options=None):
        return ["ntlm", "negotiate"]


def context(role, framing, binding):
    keywords = {"hostname": "server01", "service": "HTTP", "usage": role}
    if role == "initiate":
        keywords["username"], keywords["password"] = "EXAMPLE\\alice", "Passw0rd!"
    if binding != "-":
        keywords["channel_bindings"] = GssChannelBindings(application_data=bytes.fromhex(binding))
    kind = NTLMProxy if framing == "raw" else OnlyNtlm
    return kind(**keywords)


def encode(data):
    return base64.b64encode(data).decode() if data else "-"


def decode(text):
    return None if text == "-" else base64.b64decode(text)


def answer(peer, verb, arguments):
    if verb == "step":
        token = peer.step(decode(arguments[0]))
        return f"token {encode(token)} {'done' if peer.complete else 'open'}"
    if verb == "wrap":
        sealed = peer.wrap_winrm(decode(arguments[0]))
        return f"sealed {encode(sealed.header)} {encode(sealed.data)}"
    if verb == "unwrap":
        return f"plain {encode(peer.unwrap_winrm(*map(decode, arguments)))}"
    if verb == "who":
        return f"who {peer.client_principal}"
    raise ValueError(verb)


def main():
    with tempfile.NamedTemporaryFile("w", suffix=".ntlm") as users:
        users.write("EXAMPLE:alice:Passw0rd!\n")
        users.flush()
        os.environ["NTLM_USER_FILE"] = users.name
        os.environ["NETBIOS_COMPUTER_NAME"] = "CLIENT01"
        peer = context(*sys.argv[1:4])
        for line in sys.stdin:
            verb, *arguments = line.split()
            try:
                print(answer(peer, verb, arguments), flush=True)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other side must hear it
                print(f"failed {type(error).__name__}: {error}", flush=True)
                return


main()
