"""Sends connections elsewhere, in every Python that has this directory in PYTHONPATH, so that examples run as they are written.

LAB_CONNECT holds pairs `NAME:PORT=ADDRESS:PORT`, separated by commas.
"""

import os
import socket

_elsewhere = dict(pair.split("=") for pair in os.environ.get("LAB_CONNECT", "").split(",") if pair)
_getaddrinfo = socket.getaddrinfo


def _resolve(host, port, *arguments, **options):
    name = host.decode() if isinstance(host, bytes) else host
    there = _elsewhere.get(f"{name}:{port}")
    if there:
        host, _, port = there.rpartition(":")
    return _getaddrinfo(host, port, *arguments, **options)


socket.getaddrinfo = _resolve
