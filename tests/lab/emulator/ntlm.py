"""NTLM as a member of no domain takes it: pyspnego answers, and what it would let pass is refused here."""

import base64
import binascii
import os
import socket
import struct
import tempfile

import spnego
from spnego._ntlm_raw.messages import Authenticate, AvFlags, AvId, NTClientChallengeV2
from spnego.channel_bindings import GssChannelBindings

from .sealing import NotSealed, Sealing

_CHALLENGE = b"NTLMSSP\x00\x02\x00\x00\x00"
_AUTHENTICATE = b"NTLMSSP\x00\x03\x00\x00\x00"
# SEAL, EXTENDED_SESSIONSECURITY, 128, KEY_EXCH
_STRONG = 0x00000020 | 0x00080000 | 0x20000000 | 0x40000000
_KERBEROS = (bytes.fromhex("2a864886f712010202"), bytes.fromhex("2a864882f712010202"))
# NegTokenResp: accept-incomplete, supportedMech 1.3.6.1.4.1.311.2.2.10
_NTLM_INSTEAD = bytes.fromhex("a1153013a0030a0101a10c060a2b06010401823702020a")


def is_ntlm(token):
    """Whether a client's first token offers NTLM and no Kerberos."""
    return not any(oid in token for oid in _KERBEROS)


def ntlm_instead():
    """An answer to a client's offer of Kerberos: NTLM, please."""
    return base64.b64encode(_NTLM_INSTEAD).decode()


class Session(Sealing):
    """One attempt to authenticate by NTLM, and then the context of a connection."""

    method = "ntlm"

    def __init__(self, accounts, scheme, bindings, called, weak=False):
        super().__init__(scheme)
        self.identity = None
        self.host = called
        self.spn = ""
        self._accounts, self._weak = accounts, weak
        self._bindings = GssChannelBindings(application_data=bindings) if bindings else None
        # `negotiate` takes NTLM's own messages and those inside SPNEGO.
        self._context = spnego.server(
            channel_bindings=self._bindings, protocol="negotiate", options=spnego.NegotiateOptions.use_negotiate
        )

    def step(self, encoded):
        """Takes the client's token and returns the one for it, in base64, or raises ValueError."""
        try:
            token = base64.b64decode(encoded, validate=True)
            self._check(token)
            reply = self._context.step(token)
        except (spnego.exceptions.SpnegoError, spnego.exceptions.OperationNotAvailableError, binascii.Error, struct.error) as error:
            raise ValueError(str(error)) from error
        if self._context.complete:
            if self._context.negotiated_protocol != "ntlm":
                raise ValueError(f"{self._context.negotiated_protocol} came instead of NTLM")
            self.identity = self._accounts.canonical(self._context.client_principal, self.host)
        if reply and self._weak:
            reply = _weakened(reply)
        return base64.b64encode(reply).decode() if reply else None

    def _check(self, token):
        """pyspnego takes an answer without MIC, without sealing, and an empty channel binding."""
        start = token.find(_AUTHENTICATE)
        if start < 0:
            return
        message = Authenticate.unpack(token[start:])
        if not message.nt_challenge_response or len(message.nt_challenge_response) <= 24:
            raise ValueError("NTLM's first version")
        pairs = NTClientChallengeV2.unpack(message.nt_challenge_response[16:]).av_pairs
        if int(message.flags) & _STRONG != _STRONG:
            raise ValueError("no strong keys")
        if not int(pairs.get(AvId.flags, 0)) & AvFlags.mic or not message.mic:
            raise ValueError("no MIC")
        if self._bindings and not any(pairs.get(AvId.channel_bindings, b"")):
            raise ValueError("the answer is not bound to the TLS channel")
        self.spn = pairs.get(AvId.target_name, "")

    @property
    def complete(self):
        return self.identity is not None

    def _wrap(self, plain, confidential):
        if not confidential:
            return self._context.sign(plain), plain
        wrapped = self._context.wrap_winrm(plain)
        return wrapped.header, wrapped.data

    def _unwrap(self, header, data):
        try:
            return self._context.unwrap_winrm(header, data)
        except spnego.exceptions.SpnegoError as error:
            raise NotSealed(str(error)) from error


def _weakened(token):
    start = token.find(_CHALLENGE)
    if start < 0:
        return token
    plain = bytearray(token)
    (flags,) = struct.unpack_from("<I", plain, start + 20)
    struct.pack_into("<I", plain, start + 20, flags & ~_STRONG)
    return bytes(plain)


def prepare(accounts, name):
    """Gives pyspnego its names: that of the machine, and a file of passwords that is gone when this returns its keeper."""
    socket.gethostname = lambda: name
    file = tempfile.NamedTemporaryFile("w", prefix="lab-ntlm-", delete=True)
    file.writelines(f"{domain}:{user}:{password}\n" for domain, user, password in accounts.spellings())
    file.flush()
    # The path of the open file: nothing is left behind, however this process ends.
    descriptor = os.dup(file.fileno())
    file.close()
    os.environ["NTLM_USER_FILE"] = f"/proc/self/fd/{descriptor}"
