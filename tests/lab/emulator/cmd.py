"""The cmd shell: a few commands of its own, and real processes for everything else."""

import base64
import binascii
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import tempfile
import threading

from . import powershell
from .streams import Output

CTRL_C = 0xC000013A
# A thread that never ends: a child with a death signal gets it when the thread that started it ends.
_starter = concurrent.futures.ThreadPoolExecutor(1, "starter")
_running = set()
_running_lock = threading.Lock()


class Caller:
    """Whom a command runs for, as far as commands can tell."""

    def __init__(self, session, tls):
        self.identity, self.spn, self.host, self.tls = session.identity, session.spn, session.host, tls
        self.method = session.method

    @property
    def facts(self):
        return {"identity": self.identity, "method": self.method, "spn": self.spn, "host": self.host, "tls": self.tls}


class Input:
    """What the client sends to a command."""

    def __init__(self):
        self._changed = threading.Condition()
        self._data = b""
        self._ended = False

    def write(self, data, end):
        with self._changed:
            self._data += data
            self._ended |= end
            self._changed.notify_all()

    def read(self):
        """What has come since the last call; nothing means the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._data or self._ended)
            data, self._data = self._data, b""
            return data


class Builtin:
    """A command that this program carries out itself."""

    def __init__(self, run, arguments, caller):
        self.output = Output()
        self._input = Input()
        self._stopped = threading.Event()
        if run in (_cat, _wait, _powershell):
            threading.Thread(target=self._run, args=(run, arguments, caller), daemon=True).start()
        else:
            self._run(run, arguments, caller)

    def _run(self, run, arguments, caller):
        try:
            self.output.end(run(self, arguments, caller) or 0)
        except (ValueError, IndexError) as error:
            self.output.write("stderr", f"{error}\r\n".encode())
            self.output.end(87)

    def write_input(self, data, end):
        self._input.write(data, end)

    def read_input(self):
        return self._input.read()

    def wait(self, seconds):
        """Whether the time passed without the command being stopped."""
        return not self._stopped.wait(seconds)

    def stop(self):
        self._stopped.set()
        self._input.write(b"", True)
        self.output.end(CTRL_C)


def _whoami(command, _arguments, caller):
    command.output.write("stdout", f"{caller.identity}\r\n".encode())


def _output(command, arguments, _caller):
    size = int(arguments[0])
    command.output.write("stdout", (b"0123456789" * (size // 10 + 1))[:size])


def _wait(command, arguments, _caller):
    if command.wait(float(arguments[0])):
        command.output.write("stdout", b"waited\r\n")


def _cat(command, _arguments, _caller):
    while data := command.read_input():
        command.output.write("stdout", data)


def _fail(command, arguments, _caller):
    command.output.write("stderr", b"failed as asked\r\n")
    return int(arguments[0])


def _dump(command, _arguments, caller):
    command.output.write("stdout", json.dumps(caller.facts).encode() + b"\r\n")


def _powershell(command, arguments, caller):
    encoded = arguments[-1] if arguments else ""
    try:
        script = base64.b64decode(encoded, validate=True).decode("utf-16-le")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"powershell: {error}") from error
    status = 0
    for kind, value in powershell.run(script, caller, command.wait):
        if kind == "exit":
            return value
        stream, status = ("stdout", status) if kind == "output" else ("stderr", 1)
        command.output.write(stream, f"{value}\r\n".encode())
    return status


BUILTINS = {
    "whoami": _whoami,
    "lab-output": _output,
    "lab-wait": _wait,
    "lab-cat": _cat,
    "lab-fail": _fail,
    "lab-dump": _dump,
    "powershell": _powershell,
}


class Child:
    """A command that is a process of the system, in a process group and a directory of its own."""

    def __init__(self, line, caller):
        self.output = Output()
        self._directory = tempfile.TemporaryDirectory(prefix="lab-host-")
        environment = {"PATH": os.environ.get("PATH", os.defpath), "USERNAME": caller.identity, "COMPUTERNAME": caller.host}
        self._process = _starter.submit(
            subprocess.Popen,
            ["setpriv", "--pdeathsig", "KILL", "/bin/sh", "-c", line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._directory.name,
            env=environment,
            start_new_session=True,
        ).result()
        with _running_lock:
            _running.add(self)
        readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in ("stdout", "stderr")]
        for reader in readers:
            reader.start()
        threading.Thread(target=self._wait, args=(readers,), daemon=True).start()

    def _read(self, name):
        pipe = getattr(self._process, name)
        while data := pipe.read1(65536):
            self.output.write(name, data)

    def _wait(self, readers):
        for reader in readers:
            reader.join()
        code = self._process.wait()
        self.output.end(code if code >= 0 else CTRL_C)
        with _running_lock:
            _running.discard(self)
        self._directory.cleanup()

    def write_input(self, data, end):
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
            if end:
                self._process.stdin.close()
        except (BrokenPipeError, ValueError):
            pass

    def stop(self):
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.output.end(CTRL_C)

    def discard(self):
        """Ends the process when the host itself ends."""
        self.stop()
        self._directory.cleanup()


def start(line, caller):
    """Starts a command line."""
    line = re.sub(r"^\s*cmd(\.exe)?\s+/c\s+", "", line.strip(), flags=re.IGNORECASE).strip()
    words = [word.strip('"') for word in line.split()]
    name = re.sub(r"\.exe$", "", words[0].lower()) if words else ""
    builtin = BUILTINS.get(name)
    # A line with operators is for a real shell, which has none of the builtins; `exit 3` is.
    if builtin and not (set(line) & set("|&><")):
        return Builtin(builtin, words[1:], caller)
    return Child(line, caller)


def stop_all():
    """Ends every process that is left."""
    with _running_lock:
        left = list(_running)
    for child in left:
        child.discard()
