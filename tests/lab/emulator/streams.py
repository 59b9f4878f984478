"""Output that a client polls for."""

import base64
import threading
import time

from .soap import SHELL, timed_out


class Output:
    """Chunks of output in their order, until the end."""

    def __init__(self):
        self._changed = threading.Condition()
        self._chunks = []
        self.exit_code = None

    def write(self, name, data):
        """Adds to the stream `name`."""
        if data:
            with self._changed:
                self._chunks.append((name, data))
                self._changed.notify_all()

    def end(self, exit_code):
        """Nothing more will come. Only the first end counts."""
        with self._changed:
            if self.exit_code is None:
                self.exit_code = exit_code
            self._changed.notify_all()

    @property
    def ended(self):
        return self.exit_code is not None

    def take(self, most_bytes, patience):
        """Waits for output or the end; returns chunks and whether that was all. Raises the time-out fault after `patience` seconds."""
        deadline = time.monotonic() + patience
        with self._changed:
            while not self._chunks and not self.ended:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    if not self._chunks and not self.ended:
                        raise timed_out()
            taken = []
            while self._chunks and most_bytes > 0:
                name, data = self._chunks.pop(0)
                if len(data) > most_bytes:
                    self._chunks.insert(0, (name, data[most_bytes:]))
                    data = data[:most_bytes]
                most_bytes -= len(data)
                taken.append((name, data))
            return taken, self.ended and not self._chunks


def receive_response(command_id, chunks, done, exit_code, end_streams=()):
    """The body of the answer to Receive."""
    of_command = f' CommandId="{command_id}"' if command_id else ""
    parts = [f'<rsp:Stream Name="{name}"{of_command}>{base64.b64encode(data).decode()}</rsp:Stream>' for name, data in chunks]
    if done:
        parts += [f'<rsp:Stream Name="{name}"{of_command} End="true"></rsp:Stream>' for name in end_streams]
    if command_id:
        state = "Done" if done else "Running"
        code = f"<rsp:ExitCode>{exit_code}</rsp:ExitCode>" if done else ""
        parts.append(f'<rsp:CommandState{of_command} State="{SHELL}/CommandState/{state}">{code}</rsp:CommandState>')
    return f"<rsp:ReceiveResponse>{''.join(parts)}</rsp:ReceiveResponse>"
