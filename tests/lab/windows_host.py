#!/usr/bin/env python3
"""Runs an emulated Windows host until SIGTERM, SIGINT, or the end of the process that started it.

By Kerberos (under `Negotiate`, plain or inside SPNEGO, and `Kerberos`), NTLM (under `Negotiate`, plain or inside SPNEGO), Basic, Digest or
client certificate, as `--methods` says. Over HTTP every body must be sealed; over HTTPS a context must be bound to the host's certificate.
One process can be many hosts: the ticket's service name, or the Host header, says which one was called. Local accounts are seen as
MACHINE\\user. Without a keytab it is a workgroup's host.

Commands of its own: whoami, lab-output BYTES, lab-wait SECONDS, lab-cat, lab-fail CODE, lab-dump; anything else goes to /bin/sh.
"""

import argparse
import os
import resource
import signal
import threading
import time

from emulator import cmd, misbehave
from emulator.operations import Operations
from emulator.web import METHODS, Host


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", nargs="+", required=True, help="the names by which it may be called")
    parser.add_argument("--methods", default="kerberos", help=f"how one may come, comma-separated: {', '.join(METHODS)}")
    parser.add_argument("--keytab", help="the keys of its service principals, for kerberos")
    parser.add_argument("--accounts", metavar="FILE", help="lines of NAME:PASSWORD, for ntlm, basic and digest")
    parser.add_argument("--client-ca", metavar="PEM", help="who signs client certificates, for certificate")
    parser.add_argument("--url-prefix", default="wsman", help="the path that it serves")
    parser.add_argument("--allow-unencrypted", action="store_true", help="take messages in clear over HTTP")
    parser.add_argument("--filter-local-accounts", action="store_true", help="deny local accounts other than Administrator, as UAC does")
    parser.add_argument("--http", metavar="ADDRESS:PORT")
    parser.add_argument("--https", metavar="ADDRESS:PORT")
    parser.add_argument("--cert", help="its certificate, for HTTPS")
    parser.add_argument("--key", help="the certificate's key")
    parser.add_argument("--log", required=True, help="where each connection and request is noted, as JSON lines")
    parser.add_argument("--ready-file", help="made when it listens")
    parser.add_argument("--misbehave", choices=misbehave.MODES, help="the rule that it breaks")
    parser.add_argument("--max-shells", type=int, default=30, help="for each person")
    options = parser.parse_args()
    for method, needed in {"kerberos": "keytab", "ntlm": "accounts", "basic": "accounts", "digest": "accounts", "certificate": "client_ca"}.items():
        if method in options.methods.split(",") and not getattr(options, needed):
            parser.error(f"{method} needs --{needed.replace('_', '-')}")
    if unknown := set(options.methods.split(",")) - set(METHODS):
        parser.error(f"unknown methods: {', '.join(unknown)}")
    return options


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve(options)
    except KeyboardInterrupt:
        pass
    cmd.stop_all()
    # The threads that serve connections are not waited for.
    os._exit(0)


def serve(options):
    """Serves until a signal comes or the parent has gone."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    # Thousands of kept connections are thousands of threads.
    threading.stack_size(512 * 1024)
    host = Host(options, Operations(options.max_shells))
    if options.http:
        host.listen(options.http)
    if options.https:
        host.listen(options.https, options.cert, options.key)
    if options.ready_file:
        with open(options.ready_file, "w") as file:
            file.write(str(os.getpid()))
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)


if __name__ == "__main__":
    main()
