#!/usr/bin/env python3
"""Comes in to the gateway in one way, right or wrong, and prints what came of it as a line of JSON.

client.py CASE OPTIONS     OPTIONS is a JSON object; each case is a function below.
"""

import base64
import json
import re
import socket
import ssl
import struct
import sys
import urllib.parse

import spnego
import spnego.channel_bindings
import spnego.iov

_getaddrinfo = socket.getaddrinfo


def on_loopback(host, port, *arguments, **options):
    return _getaddrinfo("127.0.0.1" if str(host).endswith("corp.example") else host, port, *arguments, **options)


socket.getaddrinfo = on_loopback
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"


def envelope(number=1):
    return (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
        ' xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><s:Header><a:To>http://windows-host:5985/wsman</a:To><a:ReplyTo>'
        '<a:Address s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>'
        '<a:Action s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/09/transfer/Get</a:Action>'
        f"<a:MessageID>uuid:00000000-0000-4000-8000-{number:012}</a:MessageID>"
        '<w:ResourceURI s:mustUnderstand="true">http://schemas.microsoft.com/wbem/wsman/1/config</w:ResourceURI>'
        "<w:OperationTimeout>PT20S</w:OperationTimeout></s:Header><s:Body/></s:Envelope>"
    ).encode()


class Connection:
    """One TCP connection, with TLS where the URL says so."""

    def __init__(self, options, url=None):
        self.url = urllib.parse.urlsplit(url or options["url"])
        self.socket = socket.create_connection(("127.0.0.1", self.url.port), timeout=40)
        self.certificate = None
        if self.url.scheme == "https":
            context = ssl.create_default_context(cafile=options["ca"])
            if options.get("cert"):
                context.load_cert_chain(options["cert"], options["key"])
            self.socket = context.wrap_socket(self.socket, server_hostname=self.url.hostname)
            self.certificate = self.socket.getpeercert(True)
        self.file = self.socket.makefile("rb")

    def post(self, body=b"", headers=(), path=None, kind="application/soap+xml;charset=UTF-8"):
        lines = [f"POST {path or self.url.path} HTTP/1.1", f"Host: {self.url.hostname}"]
        lines += [f"Content-Type: {kind}"] if body else []
        lines += list(headers) + [f"Content-Length: {len(body)}", "", ""]
        self.socket.sendall("\r\n".join(lines).encode() + body)
        return self.answer()

    def answer(self):
        status = self.file.readline().split(b" ")
        if len(status) < 2:
            return {"status": 0, "headers": [], "body": b""}
        headers = []
        while True:
            line = self.file.readline().strip().decode()
            if not line:
                break
            headers.append(line.split(": ", 1))
        named = {name.lower(): value for name, value in headers}
        body = b""
        if named.get("transfer-encoding") == "chunked":
            while size := int(self.file.readline(), 16):
                body += self.file.read(size)
                self.file.readline()
            self.file.readline()
        else:
            body = self.file.read(int(named.get("content-length", 0)))
        return {"status": int(status[1]), "headers": headers, "body": body}

    def closed(self):
        try:
            return self.file.read(1) == b""
        except OSError:
            return True

    def close(self):
        self.file.close()
        self.socket.close()


def offered(answer):
    return [value for name, value in answer["headers"] if name.lower() == "www-authenticate"]


def token_in(answer):
    for value in offered(answer):
        scheme, _, token = value.partition(" ")
        if scheme in ("Negotiate", "Kerberos") and token:
            return base64.b64decode(token)
    return None


def show(answer, **more):
    return {"status": answer["status"], "offered": offered(answer), "body": answer["body"].decode("latin1"), **more}


def bindings(options, connection):
    kind = options.get("bindings", "right")
    if kind == "none" or (kind == "right" and not connection.certificate):
        return None
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    certificate = connection.certificate or b""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(certificate if kind == "right" else b"another certificate")
    return spnego.channel_bindings.GssChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())


def client(options, connection, **more):
    protocol = options.get("protocol", "kerberos")
    flags = spnego.ContextReq.default
    if options.get("sequence_only"):
        flags = spnego.ContextReq.mutual_auth | spnego.ContextReq.sequence_detect
    if options.get("delegate"):
        flags |= spnego.ContextReq.delegate
    user = options["user"]
    return spnego.client(
        user,
        options["password"],
        hostname=options["hostname"],
        service=options["service"],
        protocol=protocol,
        channel_bindings=bindings(options, connection),
        context_req=flags,
        options=spnego.NegotiateOptions[options.get("implementation", "none")],
        **more,
    )


def scheme(options):
    return options.get("scheme", "Negotiate")


def authorization(options, token):
    return f"Authorization: {scheme(options)} {base64.b64encode(token).decode()}"


def seal(context, plain, protocol="application/HTTP-SPNEGO-session-encrypted", integrity=False, length=None):
    if integrity:
        header, data = signed_only(context, plain)
    else:
        wrapped = context.wrap_winrm(plain)
        header, data = wrapped.header, wrapped.data + getattr(wrapped, "padding", b"")[:0]
    size = len(plain) if length is None else length
    body = (
        b"--Encrypted Boundary\r\n\tContent-Type: " + protocol.encode() + b"\r\n"
        b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=" + str(size).encode() + b"\r\n"
        b"--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
        + struct.pack("<I", len(header)) + header + data + b"--Encrypted Boundary--\r\n"
    )
    return body, f'multipart/encrypted;protocol="{protocol}";boundary="Encrypted Boundary"'


def signed_only(context, plain):
    """A wrap token that is signed and not encrypted, cut where WinRM cuts."""
    token = context._context.wrap(plain, False).message
    return token[:60], token[60:]


def unseal(context, body):
    parts = []
    for match in re.finditer(rb"Length=(\d+)\r\n--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n", body):
        length = int(match[1])
        at = match.end()
        size = struct.unpack("<I", body[at : at + 4])[0]
        header = body[at + 4 : at + 4 + size]
        data = body[at + 4 + size : at + 4 + size + length]
        parts.append(context.unwrap_winrm(header, data))
    return parts


def shake(options, connection, context=None, path=None):
    """A whole handshake without a body."""
    context = context or client(options, connection)
    token = context.step()
    answer = None
    for _ in range(4):
        answer = connection.post(headers=[authorization(options, token)], path=path)
        reply = token_in(answer)
        if reply and not context.complete:
            token = context.step(reply)
            if token is None:
                break
            if answer["status"] == 200:
                break
        else:
            break
    return context, answer


# --- cases --------------------------------------------------------------------------------------------------------------------------------


def real(options):
    """A real client runs a command."""
    url = urllib.parse.urlsplit(options["url"])
    encrypt = options.get("encrypt", "auto")
    try:
        if options["client"] == "pypsrp":
            from pypsrp.client import Client

            with Client(
                url.hostname, port=url.port, path=url.path.lstrip("/"), ssl=url.scheme == "https", auth=options["auth"],
                username=options["user"], password=options["password"], cert_validation=options["ca"], encryption=encrypt,
                negotiate_service=options["service"], reconnection_retries=0, no_proxy=True,
                certificate_pem=options.get("cert"), certificate_key_pem=options.get("key"),
            ) as found:
                out, err, code = found.execute_cmd("whoami")
            return {"stdout": out.strip(), "rc": code, "error": None}
        from winrm.protocol import Protocol

        protocol = Protocol(
            options["url"], transport=options["auth"], username=None if options["auth"] == "kerberos" else options["user"],
            password=options["password"],
            ca_trust_path=options["ca"], service=options["service"], message_encryption=encrypt, proxy=None,
            cert_pem=options.get("cert"), cert_key_pem=options.get("key"),
        )
        shell = protocol.open_shell(codepage=65001)
        command = protocol.run_command(shell, "whoami")
        out, err, code = protocol.get_command_output(shell, command)
        protocol.cleanup_command(shell, command)
        protocol.close_shell(shell)
        return {"stdout": out.decode().strip(), "rc": code, "error": None}
    except Exception as error:
        return {"stdout": "", "rc": None, "error": f"{type(error).__name__}: {error}"}


def anonymous(options):
    connection = Connection(options)
    first = connection.post(envelope())
    return show(first, again=connection.post(envelope())["status"])


def header(options):
    """One request with this Authorization."""
    connection = Connection(options)
    return show(connection.post(envelope(), headers=["Authorization: " + options["value"]]), closed=None)


def bare_then_plain(options):
    """A handshake on an empty POST, then a request in clear."""
    connection = Connection(options)
    context, answer = shake(options, connection)
    then = connection.post(envelope())
    return {**show(answer), "complete": context.complete, "then": show(then)}


def with_body(options):
    """The token on the request itself."""
    connection = Connection(options)
    context = client(options, connection)
    answer = connection.post(envelope(), headers=[authorization(options, context.step())])
    token = token_in(answer)
    if token:
        context.step(token)
    return show(answer, complete=context.complete, again=connection.post(envelope(2))["status"])


def sealed(options):
    """A handshake, then sealed requests; the answers are opened."""
    connection = Connection(options)
    context, answer = shake(options, connection)
    protocol = f"application/HTTP-{options.get('seal', 'SPNEGO')}-session-encrypted"
    results = []
    for number in (1, 2):
        plain = envelope(number)
        if options.get("robust"):
            more = b'<p:OperationID xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd">uuid:1</p:OperationID></s:Header>'
            plain = plain.replace(b"</s:Header>", more)
        if options.get("bad_xml"):
            plain = b"<no/>"
        body, kind = seal(context, plain, protocol, options.get("integrity", False), options.get("length"))
        if options.get("flip"):
            body = body[:-40] + bytes([body[-40] ^ 1]) + body[-39:]
        got = connection.post(body, kind=kind)
        if options.get("repeat"):
            got = connection.post(body, kind=kind)
        kind = dict((name.lower(), value) for name, value in got["headers"]).get("content-type", "")
        opened = [part.decode() for part in unseal(context, got["body"])] if kind.startswith("multipart") else []
        results.append({"status": got["status"], "kind": kind, "opened": opened, "bytes": len(got["body"])})
        if got["status"] not in (200, 500) or options.get("once"):
            break
    return {"handshake": answer["status"], "results": results, "closed": connection.closed() if options.get("closes") else None}


def sealed_without_context(options):
    """A body that was sealed for another connection."""
    one, two = Connection(options), Connection(options)
    context, _ = shake(options, one)
    body, kind = seal(context, envelope())
    answer = two.post(body, kind=kind)
    return show(answer, closed=two.closed())


def replay(options):
    """The same token twice, on two connections."""
    one, two = Connection(options), Connection(options)
    token = client(options, one).step()
    first = one.post(envelope(), headers=[authorization(options, token)])
    return {"first": first["status"], **show(two.post(envelope(), headers=[authorization(options, token)]))}


def half_elsewhere(options):
    """The second leg of a handshake on another connection than the first."""
    one, two = Connection(options), Connection(options)
    context = client(options, one)
    first = one.post(headers=[authorization(options, context.step())])
    third = context.step(token_in(first))
    answer = two.post(headers=[authorization(options, third)])
    own = one.post(headers=[authorization(options, third)])
    return {"first": first["status"], **show(answer), "own": own["status"]}


def half_interrupted(options):
    """Something else between two legs: the handshake is gone."""
    connection = Connection(options)
    context = client(options, connection)
    first = connection.post(headers=[authorization(options, context.step())])
    third = context.step(token_in(first))
    between = connection.post(envelope())
    return {"first": first["status"], "between": between["status"], **show(connection.post(headers=[authorization(options, third)]))}


def second_person(options):
    """Another person on an authenticated connection."""
    connection = Connection(options)
    shake(options, connection)
    first = connection.post(envelope(1))
    other = {**options, "user": options["second"]}
    _, again = shake(other, connection)
    second = connection.post(envelope(2))
    failed = connection.post(envelope(3), headers=["Authorization: Negotiate YWJj"])
    after = connection.post(envelope(4))
    return {"first": show(first), "again": again["status"], "second": show(second), "failed": failed["status"], "after": after["status"]}


def other_route(options):
    """A connection that one route accepted, on another route and back."""
    connection = Connection(options)
    shake(options, connection)
    own = connection.post(envelope(1))
    other = connection.post(envelope(2), path=urllib.parse.urlsplit(options["other_url"]).path)
    back = connection.post(envelope(3))
    return {"own": own["status"], "other": show(other), "back": back["status"]}


def kept(options):
    """A connection that goes on for longer than its ticket."""
    import time

    connection = Connection(options)
    _, answer = shake(options, connection)
    statuses = []
    for number in range(options["times"]):
        statuses.append(connection.post(envelope(number + 1))["status"])
        time.sleep(options["pause"])
    _, again = shake(options, connection)
    return {"handshake": answer["status"], "statuses": statuses, "again": again["status"], "offered": []}


def kdc_dies(options):
    """A context that goes on while the KDC is gone, and another one with a ticket that was there before."""
    import os
    import signal

    connection = Connection(options)
    _, answer = shake(options, connection)
    before = connection.post(envelope(1))["status"]
    os.kill(options["pid"], signal.SIGKILL)
    after = connection.post(envelope(2))["status"]
    new = Connection(options)
    _, again = shake(options, new)
    return {"handshake": answer["status"], "before": before, "after": after, "again": again["status"], "then": new.post(envelope(3))["status"]}


def raw_token(options):
    """A token as it is written."""
    connection = Connection(options)
    answer = connection.post(headers=[f"Authorization: {scheme(options)} {options['token']}"])
    return show(answer, open=connection.post(envelope())["status"])


def basic(options):
    """Basic requests, one after the other or at once, with how long each took."""
    import concurrent.futures
    import time

    def one(pair):
        began = time.monotonic()
        connection = Connection(options)
        value = base64.b64encode(pair.encode()).decode()
        answer = connection.post(envelope(), headers=["Authorization: Basic " + value])
        connection.close()
        named = dict((name.lower(), value) for name, value in answer["headers"])
        return {**show(answer), "seconds": time.monotonic() - began, "retry": named.get("retry-after")}

    with concurrent.futures.ThreadPoolExecutor(options.get("threads", 1)) as pool:
        return {"answers": list(pool.map(one, options["pairs"]))}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](json.loads(sys.argv[2]))))
