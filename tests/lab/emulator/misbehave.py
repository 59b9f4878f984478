"""The rules that a host can break, each by the name that `--misbehave` takes.

A host that breaks a rule of HTTP does so in its answers to requests with a body; handshakes stay as they are, so that each deviation is met
where a body is at stake.
"""

import base64
import socket
import struct

# Broken where the mode's name is looked up: in the handshake, or in how a body is sealed.
ELSEWHERE = {
    "no-mutual": "ends the handshake without its own proof",
    "wrong-mutual": "ends the handshake with a wrong proof",
    "integrity-only": "signs its answers and leaves them readable",
    "offers-basic": "offers and takes nothing but Basic, whatever its methods are",
    "spnego-ntlm": "answers every token with the wish to speak NTLM",
    "ntlm-weak": "challenges without strong keys",
    "digest-stale": "finds every nonce stale",
    "digest-replayed-nonce": "challenges with the same nonce again and again",
    "digest-md5-only": "offers MD5 alone, as old hosts do",
    "digest-no-qop": "challenges as before RFC 2617",
    "digest-auth-int": "demands that bodies are hashed as well",
    "digest-unknown-algorithm": "challenges with an algorithm that nobody has",
    "plain-answer": "answers in clear",
    "chunked": "answers a request that has an OperationID with three envelopes, in chunks",
}


def _head(length_lines):
    lines = ["HTTP/1.1 200 ", "Content-Type: application/soap+xml;charset=UTF-8", "Server: Microsoft-HTTPAPI/2.0", *length_lines]
    return "\r\n".join([*lines, "", ""]).encode()


def _duplicate_content_length(connection, whole, body):
    length = f"Content-Length: {len(body)}\r\n".encode()
    connection.send(whole.replace(length, b"Content-Length: 1\r\n" + length, 1))


def _cl_and_te(connection, whole, body):
    length = f"Content-Length: {len(body)}\r\n".encode()
    head, _, _ = whole.replace(length, length + b"Transfer-Encoding: chunked\r\n", 1).partition(b"\r\n\r\n")
    connection.send(head + b"\r\n\r\n" + chunk(body) + b"0\r\n\r\n")


def _flood_1xx(connection, whole, _body):
    for _ in range(10_000):
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)
    connection.send(whole)


def _101(connection, _whole, _body):
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tunnel\r\nConnection: Upgrade\r\n\r\n")
    connection.wait_for_the_end()


def _truncate_body(connection, whole, body):
    connection.send(whole[: -(len(body) // 2)])
    connection.close()


def _reset_mid_body(connection, whole, body):
    connection.send(whole[: -(len(body) // 2)])
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _garbage(connection, _whole, _body):
    connection.send(bytes(range(256)) * 4)
    connection.close()


def _close_after_request(connection, _whole, _body):
    connection.close()


def _extra_bytes(connection, whole, _body):
    connection.send(whole + _head(["Content-Length: 4"]) + b"more")


def _never_answer(connection, _whole, _body):
    connection.wait_for_the_end()


def _close_idle(connection, whole, _body):
    connection.send(whole)
    connection.close()


def _stall(connection, whole, body):
    connection.send(whole[: -(len(body) // 2)])
    connection.wait_for_the_end()


def _server_error(connection, _whole, _body):
    connection.send(b"HTTP/1.1 503 \r\nServer: Microsoft-HTTPAPI/2.0\r\nContent-Length: 0\r\n\r\n")


DELIVERIES = {
    "duplicate-content-length": _duplicate_content_length,
    "cl-and-te": _cl_and_te,
    "flood-1xx": _flood_1xx,
    "101": _101,
    "truncate-body": _truncate_body,
    "reset-mid-body": _reset_mid_body,
    "garbage": _garbage,
    "close-after-request": _close_after_request,
    "extra-bytes": _extra_bytes,
    "never-answer": _never_answer,
    "close-idle": _close_idle,
    "stall": _stall,
    "server-error": _server_error,
}
MODES = sorted([*ELSEWHERE, *DELIVERIES])


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def spoil(token):
    """A token of the right form whose last bit is another."""
    plain = bytearray(base64.b64decode(token))
    plain[-1] ^= 1
    return base64.b64encode(plain).decode()
