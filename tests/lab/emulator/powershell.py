"""The PowerShell shell: psrpcore speaks the protocol; of the language there is what tests and demonstrations need."""

import base64
import re
import threading
import uuid

import psrpcore
from psrpcore import types

from .soap import Fault
from .streams import Output

_FRAGMENT_HEAD = 21
_FRAGMENT = 32768


class Stopped(Exception):
    """The script has ended itself with `throw`."""


def run(script, caller, wait):
    """Carries out a script: yields ("output", value), ("error", text) or ("exit", code); raises Stopped.

    `wait` sleeps, and is false when the script is to end.
    """
    for statement in _statements(script):
        word, _, rest = statement.partition(" ")
        rest, word = rest.strip(), word.lower()
        if word == "exit":
            yield "exit", int(rest.lower().replace("$lastexitcode", "0") or 0)
            return
        if word == "throw":
            raise Stopped(_value(rest, caller))
        if word == "write-error":
            yield "error", _value(rest, caller)
        elif word == "lab-wait":
            if not wait(float(rest)):
                return
            yield "output", "waited"
        elif word in ("write-output", "echo"):
            yield "output", _value(rest, caller)
        elif word == "whoami":
            yield "output", caller.identity
        elif word == "hostname":
            yield "output", caller.host
        elif word == "lab-output":
            size = int(rest)
            yield "output", ("0123456789" * (size // 10 + 1))[:size]
        elif statement[0] in "'\"$" or re.fullmatch(r"-?\d+", statement):
            yield "output", _value(statement, caller)
        else:
            yield "error", f"The term '{word}' is not recognized as the name of a cmdlet, function, script file, or operable program."


def _statements(script):
    """Cuts at line ends and semicolons outside of quotes."""
    for part in re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^;\r\n'\"])+", script):
        if part.strip() and not part.strip().startswith("#"):
            yield part.strip()


def _value(text, caller):
    text = text.strip()
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if text[:1] == "'":
        return text.strip("'")
    for name, value in (
        ("$env:USERNAME", caller.identity.partition("@")[0]),
        ("$env:COMPUTERNAME", caller.host),
        ("$(whoami)", caller.identity),
        ("$(hostname)", caller.host),
    ):
        text = text.replace(name, value)
    return text.strip('"')


class Pipeline:
    """One pipeline and what it has to say."""

    def __init__(self, pool, pipeline_id):
        self.server = psrpcore.ServerPipeline(pool, pipeline_id)
        self.output = Output()
        self.stopped = threading.Event()

    def wait(self, seconds):
        return not self.stopped.wait(seconds)


class Pool:
    """A runspace pool, driven by the fragments that the client sends."""

    def __init__(self, creation, caller):
        self._lock = threading.RLock()
        self._caller = caller
        self._pool = psrpcore.ServerRunspacePool()
        self._pipelines = {}
        self.output = Output()
        self.feed(creation)

    def feed(self, fragments):
        """Takes fragments and starts what they complete."""
        with self._lock:
            self._pool.receive_data(psrpcore.PSRPPayload(bytearray(fragments), psrpcore.StreamType.default, None))
            try:
                while event := self._pool.next_event():
                    if isinstance(event, psrpcore.CreatePipelineEvent):
                        pipeline = self._pipelines[event.pipeline_id]
                        commands = event.pipeline.commands
                        threading.Thread(target=self._run, args=(pipeline, commands), daemon=True).start()
            except psrpcore.PSRPCoreError as error:
                raise Fault(1359, "w:InternalError", f"{error}. ", by="Receiver") from error
            self._collect()

    def disconnect(self):
        """The client goes; what runs goes on."""
        with self._lock:
            self._pool.begin_disconnect()
            self._pool.disconnect()

    def reconnect(self):
        """The client that went is back."""
        with self._lock:
            self._pool.reconnect()

    def connect(self, fragments):
        """Another client takes over: what to tell it."""
        with self._lock:
            self._pool.connect()
            self._pool.receive_data(psrpcore.PSRPPayload(bytearray(fragments), psrpcore.StreamType.default, None))
            try:
                while self._pool.next_event():
                    pass
            except psrpcore.PSRPCoreError as error:
                raise Fault(1359, "w:InternalError", f"{error}. ", by="Receiver") from error
            # The first message is the answer; the others are waited for.
            first = self._pool.data_to_send(_FRAGMENT).data
            size = _FRAGMENT_HEAD + int.from_bytes(first[17:21], "big")
            self._put(self.output, first[size:])
            self._collect()
            return bytes(first[:size])

    def create(self, command_id, fragments):
        """A new pipeline, whose id the client has chosen."""
        pipeline_id = uuid.UUID(command_id)
        with self._lock:
            # psrpcore must know the pipeline before the message that creates it.
            pipeline = self._pipelines[pipeline_id] = Pipeline(self._pool, pipeline_id)
            self.feed(fragments)
        return pipeline

    def _collect(self):
        """Moves what is to be sent to the stream that it belongs to, one fragment for each chunk: some clients read no more."""
        while payload := self._pool.data_to_send(_FRAGMENT):
            pipeline = self._pipelines.get(payload.pipeline_id)
            self._put(pipeline.output if pipeline else self.output, payload.data)

    @staticmethod
    def _put(output, data):
        while data:
            size = _FRAGMENT_HEAD + int.from_bytes(data[17:21], "big")
            output.write("stdout", data[:size])
            data = data[size:]

    def _run(self, pipeline, commands):
        script, as_text = _script(commands)
        server = pipeline.server
        with self._lock:
            server.start()
            self._collect()
        try:
            for kind, value in run(script, self._caller, pipeline.wait):
                with self._lock:
                    if kind == "output":
                        server.write_output(str(value) if as_text else value)
                    elif kind == "error":
                        server.write_error(types.NETException(Message=value), fully_qualified_error_id="LabError")
                    self._collect()
            with self._lock:
                if pipeline.stopped.is_set():
                    server.stop()
                else:
                    server.complete()
                self._collect()
        except (Stopped, ValueError) as error:
            with self._lock:
                _fail(server, str(error))
                self._collect()
        pipeline.output.end(0)

    def stop(self):
        """Ends all pipelines."""
        for pipeline in list(self._pipelines.values()):
            pipeline.stopped.set()


def _fail(server, text):
    record = types.ErrorRecord(
        Exception=types.NETException(Message=text),
        CategoryInfo=types.ErrorCategoryInfo(Category=types.ErrorCategory.OperationStopped, Reason="RuntimeException"),
        FullyQualifiedErrorId=text,
    )
    server.prepare_message(types.PipelineState(PipelineState=int(types.PSInvocationState.Failed), ExceptionAsErrorRecord=record))


def _script(commands):
    """The text that a pipeline runs, and whether its output is made into text."""
    first = commands[0]
    text = first.command_text
    if text.lower() == "invoke-expression":
        text = next(value for name, value in first.parameters if name is None or name.lower() == "command")
    elif not first.is_script:
        text = " ".join([text, *(f"'{value}'" for _, value in first.parameters)])
    return str(text), any(command.command_text.lower() == "out-string" for command in commands)


def decode(text):
    """Fragments as they stand in an envelope."""
    return base64.b64decode(text or "")
