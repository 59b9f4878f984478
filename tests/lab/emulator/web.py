"""HTTP as HTTP.sys speaks it, and the gate: who is calling, and is the body sealed as it must be?"""

import itertools
import json
import os
import re
import socket
import ssl
import threading

from . import misbehave, sealing, soap
from .cmd import Caller

_MOST_HEAD = 131072
_MOST_BODY = 16 << 20
_IDLE = 150
_STALL = 60
_CHALLENGES = [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "Kerberos")]
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
            identity=session.identity if session else None,
            spn=session.spn if session else None,
            action=answer.request.action if answer.request else None,
            resource=answer.request.resource if answer.request else None,
            status=answer.status,
            unauthenticated_bytes=self._unauthenticated_bytes,
        )
        self._deliver(answer, sealed, bool(body))
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
        if not re.fullmatch(r"/wsman/?(\?.*)?", path, re.IGNORECASE):
            return Answer(404)
        if "transfer-encoding" in fields:
            return Answer(411, close=True)
        proof = []
        if "authorization" in fields:
            refusal = self._authenticate(fields["authorization"], proof)
            if refusal:
                return refusal
        if self._session is None or not self._session.complete:
            if fields.get("wsmanidentify", "").lower() == "unauthenticated":
                return Answer(200, envelope=soap.identify_answer())
            return Answer(400) if sealed else Answer(401, _CHALLENGES)
        if not body:
            return Answer(200, proof)
        if sealed:
            try:
                body = self._session.unseal(body)
            except sealing.NotSealed:
                return Answer(400, close=True)
        elif not self._tls:
            return Answer(500, proof)
        return self._carry_out(body, proof)

    def _authenticate(self, value, proof):
        """Takes a token. Fills `proof` with the host's own, or returns the refusal."""
        scheme, _, token = value.partition(" ")
        if scheme.lower() not in sealing.PROTOCOLS:
            return Answer(401, _CHALLENGES)
        if self._session is None or self._session.complete:
            self._session = sealing.Session(self._host.credentials, scheme, self._host.bindings if self._tls else None)
        session = self._session
        try:
            reply = session.step(token.strip())
        except ValueError as error:
            self._session = None
            self._host.log.write("refused", connection=self._number, reason=str(error))
            return Answer(401, _CHALLENGES)
        if session.complete and not self._host.knows(session.host):
            self._session = None
            self._host.log.write("refused", connection=self._number, reason=f"{session.host} is not a name of this host")
            return Answer(401, _CHALLENGES)
        if self._host.mode == "wrong-mutual" and reply:
            reply = misbehave.spoil(reply)
        proof += [("WWW-Authenticate", f"{scheme} {reply}")] if reply and self._host.mode != "no-mutual" else []
        return None if session.complete else Answer(401, proof)

    def _carry_out(self, content, proof):
        caller = Caller(self._session, self._tls)
        request = None
        try:
            request = soap.Request(content)
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

    def __init__(self, names, keytab, log, operations, mode):
        self.credentials = sealing.acceptor(keytab)
        self.log = Log(log)
        self.operations = operations
        self.mode = mode
        self.bindings = None
        self._names = {name.lower() for name in names}

    def knows(self, name):
        return name in self._names

    def listen(self, address, certificate=None, key=None):
        """Serves an address until the process ends."""
        tls = None
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate, key)
            self.bindings = sealing.channel_bindings(certificate)
        name, _, port = address.rpartition(":")
        listener = socket.create_server((name, int(port)), backlog=1024)
        threading.Thread(target=self._accept, args=(listener, tls), daemon=True).start()
        return listener.getsockname()[1]

    def _accept(self, listener, tls):
        while True:
            accepted, peer = listener.accept()
            connection = Connection(self, accepted, peer, tls)
            threading.Thread(target=connection.serve, daemon=True).start()
