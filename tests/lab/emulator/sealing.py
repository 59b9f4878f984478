"""Messages that only the two ends can read, and Kerberos by way of the system's GSSAPI."""

import base64
import binascii
import hashlib
import re
import struct

import gssapi
from cryptography import x509
from gssapi.raw import ChannelBindings, IOV, IOVBufferType, wrap_iov

PROTOCOLS = {
    "negotiate": "application/HTTP-SPNEGO-session-encrypted",
    "kerberos": "application/HTTP-Kerberos-session-encrypted",
}
NEEDED = (
    gssapi.RequirementFlag.mutual_authentication
    | gssapi.RequirementFlag.confidentiality
    | gssapi.RequirementFlag.integrity
)


class NotSealed(Exception):
    """A body that is not sealed as it should be."""


def channel_bindings(certificate_file):
    """`tls-server-end-point` of RFC 5929 for the certificate in a PEM file."""
    with open(certificate_file, "rb") as file:
        certificate = x509.load_pem_x509_certificate(file.read())
    signed_with = certificate.signature_hash_algorithm
    name = signed_with.name if signed_with else "sha256"
    digest = hashlib.new("sha256" if name in ("md5", "sha1") else name)
    digest.update(_der(certificate_file))
    return b"tls-server-end-point:" + digest.digest()


def _der(certificate_file):
    with open(certificate_file) as file:
        text = re.search("-----BEGIN CERTIFICATE-----(.+?)-----END", file.read(), re.DOTALL).group(1)
    return base64.b64decode(text)


class Sealing:
    """Bodies in the form of [MS-WSMV] 2.2.9.1; how content is wrapped is for each mechanism to say."""

    def __init__(self, scheme):
        self.scheme = scheme
        self.protocol = PROTOCOLS[scheme.lower()]

    @property
    def content_type(self):
        return f'multipart/encrypted;protocol="{self.protocol}";boundary="Encrypted Boundary"'

    def seal(self, plain, confidential=True):
        """A sealed body."""
        header, data = self._wrap(plain, confidential)
        head = (
            "--Encrypted Boundary\r\n"
            f"\tContent-Type: {self.protocol}\r\n"
            f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={len(plain)}\r\n"
            "--Encrypted Boundary\r\n"
            "\tContent-Type: application/octet-stream\r\n"
        )
        return head.encode() + struct.pack("<I", len(header)) + header + data + b"--Encrypted Boundary--\r\n"

    def unseal(self, body):
        """The content of a sealed body."""
        found = re.match(
            rb"--Encrypted Boundary\r\n"
            rb"\t?Content-Type: ?(\S+)\r\n"
            rb"\t?OriginalContent: ?type=application/soap\+xml;charset=[^;]+;Length=(\d+)\r\n"
            rb"--Encrypted Boundary\r\n"
            rb"\t?Content-Type: ?application/octet-stream\r\n",
            body,
        )
        end = body.rfind(b"--Encrypted Boundary--")
        if not found or end < found.end() + 4 or found.group(1).decode() not in PROTOCOLS.values():
            raise NotSealed("not the two parts of a sealed message")
        sealed = body[found.end() : end]
        (size,) = struct.unpack_from("<I", sealed)
        if size > len(sealed) - 4:
            raise NotSealed("the header is longer than the message")
        content = self._unwrap(sealed[4 : 4 + size], sealed[4 + size :])
        if len(content) != int(found.group(2)):
            raise NotSealed("another length than declared")
        return content


class Session(Sealing):
    """One attempt to authenticate by Kerberos, and then the context of a connection."""

    method = "kerberos"

    def __init__(self, credentials, scheme, bindings):
        super().__init__(scheme)
        self.identity = None
        self.spn = None
        self._must_be_bound = bindings is not None
        # Neither raw Kerberos nor SPNEGO is asked for: the first token says which it is.
        bindings = ChannelBindings(application_data=bindings) if bindings else None
        self._context = gssapi.SecurityContext(creds=credentials, usage="accept", channel_bindings=bindings)

    def step(self, encoded):
        """Takes the client's token and returns the one for it, in base64, or raises ValueError."""
        try:
            token = self._context.step(base64.b64decode(encoded, validate=True))
            # Where a step has failed and left a token, this is what raises.
            complete = self._context.complete
        except (gssapi.exceptions.GSSError, binascii.Error) as error:
            raise ValueError(str(error)) from error
        if complete:
            self._check()
        return base64.b64encode(token).decode() if token else None

    def _check(self):
        flags = self._context.actual_flags
        if flags & NEEDED != NEEDED:
            raise ValueError(f"the context lacks something: {flags!r}")
        if self._must_be_bound and not flags & gssapi.RequirementFlag.channel_bound:
            raise ValueError("the context is not bound to the TLS channel")
        self.identity = str(self._context.initiator_name)
        self.spn = str(self._context.target_name)

    @property
    def complete(self):
        return self.identity is not None

    @property
    def host(self):
        """The name by which the client called this host."""
        return re.split("[/@]", self.spn)[1].lower()

    def _wrap(self, plain, confidential):
        iov = IOV(IOVBufferType.header, plain, IOVBufferType.padding, std_layout=False)
        wrap_iov(self._context, iov, confidential=confidential)
        return iov[0].value, iov[1].value + (iov[2].value or b"")

    def _unwrap(self, header, data):
        try:
            # Header and data beside each other are one token.
            opened = self._context.unwrap(header + data)
        except gssapi.exceptions.GSSError as error:
            raise NotSealed(str(error)) from error
        if not opened.encrypted:
            raise NotSealed("integrity only")
        return opened.message


def acceptor(keytab):
    """The keys of all names of this host; without a memory of tickets, which would be a file that all hosts of a machine share."""
    return gssapi.Credentials(usage="accept", store={"keytab": keytab, "rcache": "none:"})
