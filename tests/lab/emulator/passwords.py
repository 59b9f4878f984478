"""Accounts with passwords, and the two methods that show one to the host: Basic, and Digest of RFC 7616.

Windows has no Digest in its WinRM service; other hosts that speak WS-Management do.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading

ALGORITHMS = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_REALM = "WSMAN"


def machine(name):
    """The name of a machine as it stands before its local accounts."""
    return name.partition(".")[0].upper()[:15]


class Accounts:
    """Lines of `NAME:PASSWORD`; NAME is `user` for a local account, or `DOMAIN\\user`, or `user@REALM`."""

    def __init__(self, path, names):
        self._machines = {machine(name) for name in names}
        self._local, self._others = {}, {}
        if path:
            with open(path) as file:
                for line in filter(None, map(str.strip, file)):
                    name, _, password = line.partition(":")
                    (self._others if "\\" in name or "@" in name else self._local)[name.lower()] = name, password

    def spellings(self):
        """Everything that somebody may be called in NTLM: domain, user and password."""
        for user, password in self._local.values():
            for domain in ("", ".", *self._machines):
                yield domain, user, password
        for name, password in self._others.values():
            domain, backslash, user = name.partition("\\")
            yield (domain, user, password) if backslash else ("", name, password)

    def find(self, name, called):
        """The canonical name and the password of an account by any of its names, or None."""
        domain, backslash, user = name.partition("\\")
        if backslash and domain.upper() in self._machines | {"."}:
            name = user
        if name.lower() in self._others:
            return self._others[name.lower()]
        if name.lower() in self._local:
            user, password = self._local[name.lower()]
            local = domain.upper() if backslash and domain != "." else machine(called)
            return f"{local}\\{user}", password
        return None

    def canonical(self, name, called):
        """`MACHINE\\user` for local accounts."""
        found = self.find(name, called)
        return found[0] if found else name

    def is_local(self, identity):
        """Whether it is an account of this machine."""
        return identity.partition("\\")[0] in self._machines

    def is_filtered(self, identity):
        """Whether it is a local account that is not the built-in Administrator."""
        return self.is_local(identity) and identity.partition("\\")[2].lower() != "administrator"


class Known:
    """Somebody who is known for one request, by something that seals nothing."""

    complete = True
    spn = ""

    def __init__(self, method, scheme, identity, called):
        self.method, self.scheme, self.identity, self.host = method, scheme, identity, called


def basic(accounts, token, called):
    """Who a Basic header speaks for; raises ValueError."""
    try:
        name, _, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"Basic: {error}") from error
    found = accounts.find(name, called)
    if not found or not hmac.compare_digest(found[1].encode(), password.encode()):
        raise ValueError(f"a wrong name or password for {name}")
    return Known("basic", "Basic", found[0], called)


class Stale(ValueError):
    """A proof over a nonce that does not hold any more."""


class Digest:
    """Challenges, and the answers to them. A nonce holds for any number of requests with a counter that rises."""

    def __init__(self, accounts, mode=None):
        self._accounts, self._mode = accounts, mode
        self._lock = threading.Lock()
        self._nonces = {}
        self._same = secrets.token_hex(16)

    def challenges(self, stale=False):
        """One header for each algorithm, the strongest first, under one nonce."""
        nonce = self._same if self._mode == "digest-replayed-nonce" else secrets.token_hex(16)
        with self._lock:
            self._nonces[nonce] = 0
        algorithms = {"digest-md5-only": ["MD5"], "digest-unknown-algorithm": ["SHA-1024"]}.get(self._mode, list(ALGORITHMS))
        qop = {"digest-no-qop": "", "digest-auth-int": 'qop="auth-int", '}.get(self._mode, 'qop="auth", ')
        stale = "stale=true, " if stale or self._mode == "digest-stale" else ""
        return [
            ("WWW-Authenticate", f'Digest realm="{_REALM}", {qop}{stale}algorithm={algorithm}, nonce="{nonce}"') for algorithm in algorithms
        ]

    def check(self, value, method, target, called):
        """Who a Digest header speaks for, and the headers that prove the host's own knowledge; raises ValueError."""
        fields = {name.lower(): quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', value)}
        if self._mode in ("digest-stale", "digest-unknown-algorithm"):
            raise ValueError(f"{self._mode} as asked")
        self._count(fields)
        algorithm = fields.get("algorithm", "MD5").upper()
        user = re.sub(r"\\(.)", r"\1", fields.get("username", ""))
        found = self._accounts.find(user, called)
        if not found or algorithm not in ALGORITHMS or fields.get("uri") != target or fields.get("qop") != "auth":
            raise ValueError(f"a Digest that does not fit: {fields}")

        def response(of):
            def hashed(text):
                return ALGORITHMS[algorithm](text.encode()).hexdigest()

            secret = hashed(f"{user}:{_REALM}:{found[1]}")
            parts = (fields.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
            return hashed(":".join([secret, *parts, hashed(f"{of}:{target}")]))

        if not hmac.compare_digest(response(method), fields.get("response", "")):
            raise ValueError(f"a wrong password for {user}")
        own = response("")
        if self._mode == "wrong-mutual":
            own = own[::-1]
        proof = f'rspauth="{own}", qop=auth, nc={fields["nc"]}, cnonce="{fields["cnonce"]}"'
        headers = [] if self._mode == "no-mutual" else [("Authentication-Info", proof)]
        return Known("digest", f"Digest {algorithm}", found[0], called), headers

    def _count(self, fields):
        try:
            count = int(fields.get("nc", ""), 16)
        except ValueError as error:
            raise ValueError("a Digest without a counter") from error
        with self._lock:
            if count <= self._nonces.get(fields.get("nonce"), 1 << 40):
                raise Stale("a nonce that is unknown or used")
            self._nonces[fields["nonce"]] = count
