"""HTTP as HTTP.sys speaks it, and the gate: who is calling, and is the body sealed as it must be?"""

import base64
import itertools
import json
import os
import re
import socket
import ssl
import threading

from . import certificates, misbehave, ntlm, passwords, sealing, soap
from .cmd import Caller

_MOST_HEAD = 131072
_MOST_BODY = 16 << 20
_IDLE = 150
_STALL = 60
METHODS = ("kerberos", "ntlm", "basic", "digest", "certificate")
_BASIC = ("WWW-Authenticate", 'Basic realm="WSMAN"')
_connections = itertools.count(1)


class Log:
    """One JSON object for each event, on disk before anybody hears of it."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def write(self, event, **entry):
        with self._lock:
            line = json.dumps({"event": event, "seq": next(self._numbers), **entry})
            os.write(self._file, line.encode() + b"\n")


class Closed(Exception):
    """The connection is at its end."""


class Answer:
    """What goes back to the client."""

    def __init__(self, status, headers=(), envelope=b"", close=False):
        self.status, self.headers, self.envelope, self.close = status, list(headers), envelope, close
        self.request = None


class Connection:
    """One client connection, from its acceptance to its end, in a thread of its own."""

    def __init__(self, host, accepted, peer, tls):
        self.socket, self._host, self._peer, self._tls = accepted, host, peer, tls is not None
        self._tls_context = tls
        self._number = next(_connections)
        self._reader = self._session = None
        self._called = host.names[0]
        self._unauthenticated_bytes = 0

    def serve(self):
        host = self._host
        host.log.write("connection", connection=self._number, tls=self._tls, peer=f"{self._peer[0]}:{self._peer[1]}")
        try:
            self.socket.settimeout(_STALL)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                self.socket = self._tls_context.wrap_socket(self.socket, server_side=True)
            self._reader = self.socket.makefile("rb", 65536)
            while True:
                self._exchange()
        except (Closed, OSError, ValueError):
            # Also what the client does to end a connection: ssl.SSLError and socket.timeout are OSErrors.
            pass
        finally:
            # The reader holds the socket open as well.
            if self._reader:
                self._reader.close()
            self.socket.close()

    # --- what deviations need ---

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        raise Closed

    def wait_for_the_end(self):
        while self._reader.read1(65536):
            pass
        raise Closed

    # --- one request ---

    def _exchange(self):
        method, path, headers = self._read_head()
        body = self._read_body(headers)
        fields = {name.lower(): value for name, value in headers}
        sealed = fields.get("content-type", "").lower().startswith("multipart/encrypted")
        called = fields.get("host", "").rpartition(":")[0].lower() or fields.get("host", "").lower()
        self._called = called if self._host.knows(called) else self._host.names[0]
        if self._session is None or not self._session.complete:
            self._unauthenticated_bytes += len(body)
        answer = self._answer(method, path, fields, body, sealed)
        session = self._session if self._session and self._session.complete else None
        self._host.log.write(
            "request",
            connection=self._number,
            tls=self._tls,
            method=method,
            path=path,
            headers=headers,
            body_length=len(body),
            sealed=sealed,
            scheme=session.scheme if session else None,
            by=session.method if session else None,
            identity=session.identity if session else None,
            spn=session.spn if session else None,
            action=answer.request.action if answer.request else None,
            resource=answer.request.resource if answer.request else None,
            status=answer.status,
            unauthenticated_bytes=self._unauthenticated_bytes,
        )
        self._deliver(answer, sealed, bool(body))
        if isinstance(self._session, passwords.Known):
            # What seals nothing is shown again with each request.
            self._session = None
        if answer.close or fields.get("connection", "").lower() == "close":
            raise Closed

    def _read_head(self):
        self.socket.settimeout(_IDLE)
        line = self._reader.readline(_MOST_HEAD)
        self.socket.settimeout(_STALL)
        parts = line.decode("latin-1").split()
        if len(parts) != 3:
            raise Closed
        headers, size = [], len(line)
        while (line := self._reader.readline(_MOST_HEAD)) not in (b"\r\n", b"\n"):
            name, colon, value = line.decode("latin-1").partition(":")
            size += len(line)
            if not colon or size > _MOST_HEAD:
                raise Closed
            headers.append((name, value.strip()))
        return parts[0], parts[1], headers

    def _read_body(self, headers):
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        length = int(lengths[0]) if len(lengths) == 1 else 0
        if not 0 <= length <= _MOST_BODY:
            raise Closed
        body = self._reader.read(length)
        if len(body) < length:
            raise Closed
        return body

    def _answer(self, method, path, fields, body, sealed):
        if method != "POST":
            return Answer(405)
        if not re.fullmatch(rf"/{self._host.url_prefix}/?(\?.*)?", path, re.IGNORECASE):
            return Answer(404)
        if "transfer-encoding" in fields:
            return Answer(411, close=True)
        proof = []
        if "authorization" in fields:
            refusal = self._authenticate(fields["authorization"], method, path, proof)
            if refusal:
                return refusal
        session = self._session
        if session is None or not session.complete:
            if fields.get("wsmanidentify", "").lower() == "unauthenticated":
                return Answer(200, envelope=soap.identify_answer())
            return Answer(400) if sealed else self._challenge()
        if not body:
            return Answer(200, proof)
        if sealed:
            try:
                body = session.unseal(body)
            except (AttributeError, sealing.NotSealed):
                return Answer(400, close=True)
        elif not self._tls and not self._host.allow_unencrypted:
            return Answer(500, proof)
        return self._carry_out(body, proof)

    def _challenge(self, reason=None, stale=False):
        """Asks who is there, by the methods that the host takes."""
        if reason:
            self._session = None
            self._host.log.write("refused", connection=self._number, reason=reason)
        challenges = self._host.challenges(stale)
        return Answer(401 if challenges else 403, challenges)

    def _authenticate(self, value, method, path, proof):
        """Finds out who is calling. Fills `proof` with the host's own, or returns the refusal."""
        host = self._host
        scheme, _, token = value.partition(" ")
        try:
            if value == certificates.PROFILE and host.takes("certificate") and self._tls:
                self._session = certificates.known(self.socket, self._called)
            elif scheme.lower() == "basic" and host.takes("basic"):
                self._session = passwords.basic(host.accounts, token.strip(), self._called)
            elif scheme.lower() == "digest" and host.takes("digest"):
                self._session, headers = host.digest.check(token, method, path, self._called)
                proof += headers
            elif scheme.lower() in sealing.PROTOCOLS and (host.takes("kerberos") or host.takes("ntlm")):
                return self._negotiate(scheme, token.strip(), proof)
            else:
                return self._challenge(f"the method {scheme} is not offered")
        except ValueError as error:
            return self._challenge(str(error), stale=isinstance(error, passwords.Stale))
        return None

    def _negotiate(self, scheme, token, proof):
        """Takes a token of Kerberos or NTLM."""
        host = self._host
        if host.mode == "spnego-ntlm":
            return Answer(401, [("WWW-Authenticate", f"{scheme} {ntlm.ntlm_instead()}")])
        if self._session is None or self._session.complete:
            self._session = host.session(scheme, token, self._tls, self._called)
        session = self._session
        reply = session.step(token)
        if session.complete and not host.knows(session.host):
            return self._challenge(f"{session.host} is not a name of this host")
        if session.complete and host.mode == "wrong-mutual" and reply:
            reply = misbehave.spoil(reply)
        shown = reply and (host.mode != "no-mutual" or not session.complete)
        proof += [("WWW-Authenticate", f"{scheme} {reply}")] if shown else []
        return None if session.complete else Answer(401, proof)

    def _carry_out(self, content, proof):
        caller = Caller(self._session, self._tls)
        request = None
        try:
            request = soap.Request(content)
            if self._host.filters_local_accounts and self._host.accounts.is_filtered(caller.identity):
                raise soap.Fault(5, "w:AccessDenied", "Access is denied. ")
            answer = Answer(200, proof, self._host.operations.carry_out(request, caller))
        except soap.Fault as fault:
            answer = Answer(500, proof, soap.fault_answer(fault, request.message_id if request else "", caller.host))
        answer.request = request
        return answer

    # --- the way back ---

    def _deliver(self, answer, sealed, had_body):
        mode = self._host.mode if had_body and answer.request else None
        if mode == "chunked" and answer.request.operation_id:
            return self._deliver_in_chunks(answer, sealed)
        content_type, body = self._encode(answer.envelope, sealed)
        whole = _head(answer, [("Content-Type", content_type)] if body else [], [("Content-Length", str(len(body)))]) + body
        deviate = misbehave.DELIVERIES.get(mode)
        if deviate:
            return deviate(self, whole, body)
        self.send(whole)

    def _encode(self, envelope, sealed):
        if not (sealed and envelope) or self._host.mode == "plain-answer":
            return soap.CONTENT_TYPE, envelope
        session = self._session
        return session.content_type, session.seal(envelope, confidential=self._host.mode != "integrity-only")

    def _deliver_in_chunks(self, answer, sealed):
        for number in range(3):
            content_type, body = self._encode(answer.envelope, sealed)
            head = _head(answer, [("Content-Type", content_type)], [("Transfer-Encoding", "chunked")]) if number == 0 else b""
            self.send(head + misbehave.chunk(body))
        self.send(b"0\r\n\r\n")


def _head(answer, *more):
    lines = [f"HTTP/1.1 {answer.status} "]
    lines += [f"{name}: {value}" for name, value in itertools.chain(*more, [("Server", "Microsoft-HTTPAPI/2.0")], answer.headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Host:
    """What all connections share."""

    def __init__(self, options, operations):
        self.names = [name.lower() for name in options.name]
        self._methods = set(options.methods.split(","))
        self._credentials = sealing.acceptor(options.keytab) if "kerberos" in self._methods else None
        self.accounts = passwords.Accounts(options.accounts, self.names)
        if "ntlm" in self._methods:
            ntlm.prepare(self.accounts, passwords.machine(self.names[0]))
        self.log = Log(options.log)
        self.operations = operations
        self.mode = options.misbehave
        self.url_prefix = re.escape(options.url_prefix)
        self.digest = passwords.Digest(self.accounts, self.mode)
        self.allow_unencrypted = options.allow_unencrypted
        self.filters_local_accounts = options.filter_local_accounts
        self._client_ca = options.client_ca
        self._bindings = None

    def knows(self, name):
        return name in self.names

    def takes(self, method):
        """Whether somebody may come by a method."""
        return method in self._methods and (self.mode != "offers-basic" or method == "basic")

    def challenges(self, stale):
        """What a request without proof is answered with."""
        if self.mode == "offers-basic":
            return [_BASIC]
        found = []
        if self._methods & {"kerberos", "ntlm"}:
            found.append(("WWW-Authenticate", "Negotiate"))
        if "kerberos" in self._methods:
            found.append(("WWW-Authenticate", "Kerberos"))
        if "digest" in self._methods:
            found += self.digest.challenges(stale)
        return found + ([_BASIC] if "basic" in self._methods else [])

    def session(self, scheme, token, tls, called):
        """The acceptor for a first token; raises ValueError."""
        bindings = self._bindings if tls else None
        plain = base64.b64decode(token)
        if self.takes("ntlm") and scheme.lower() == "negotiate" and (ntlm.is_ntlm(plain) or not self.takes("kerberos")):
            return ntlm.Session(self.accounts, scheme, bindings, called, weak=self.mode == "ntlm-weak")
        if not self.takes("kerberos"):
            raise ValueError(f"the method {scheme} is not offered")
        return sealing.Session(self._credentials, scheme, bindings)

    def listen(self, address, certificate=None, key=None):
        """Serves an address until the process ends."""
        tls = None
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate, key)
            if "certificate" in self._methods:
                tls.load_verify_locations(self._client_ca)
                tls.verify_mode = ssl.CERT_OPTIONAL
            self._bindings = sealing.channel_bindings(certificate)
        name, _, port = address.rpartition(":")
        listener = socket.create_server((name, int(port)), backlog=1024)
        threading.Thread(target=self._accept, args=(listener, tls), daemon=True).start()
        return listener.getsockname()[1]

    def _accept(self, listener, tls):
        while True:
            accepted, peer = listener.accept()
            connection = Connection(self, accepted, peer, tls)
            threading.Thread(target=connection.serve, daemon=True).start()
