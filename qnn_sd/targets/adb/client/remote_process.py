"""A command that runs on a phone.

It is run over the shell protocol, version 2 (AOSP, packages/modules/adb, shell_protocol.h), which separates standard
output from standard error, reports the exit code, and takes standard input while the command runs.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from qnn_sd.errors import DeviceError, QnnSdError

# A phone that hasn't answered for so long is treated as disconnected.
ANSWER_SECONDS = 60.0
_PACKET = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
# adbd's largest payload (MAX_PAYLOAD, 1 MiB), less the packet's header.
_CHUNK_BYTES = (1 << 20) - _PACKET.size
# A log to which nothing was added for so long is complete.
_QUIET_SECONDS = 0.5
_MAX_LOG_SECONDS = 5.0


@dataclass(frozen=True)
class ShellResult:
    """The result of a command.

    Attributes:
        exit_code: its exit code.
        stdout: standard output.
        stderr: standard error.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output, without the newline at its end."""
        return self.stdout.decode("utf-8", "replace").rstrip("\n")

    @property
    def error_line(self) -> str:
        """The first line of standard error; the exit code if there is none."""
        lines = self.stderr.decode("utf-8", "replace").strip().splitlines()
        return lines[0] if lines else f"exit code {self.exit_code}"


class CommandEndedError(DeviceError):
    """A command ended before it said what it was to say."""


class Connected(Protocol):
    """A phone, as its commands know it."""

    @property
    def serial(self) -> str:
        """Its name at the adb server."""

    def lost(self, why: str) -> QnnSdError:
        """The error for a connection to it that broke."""


class RemoteProcess:
    """A running command; use it as a context manager, which ends it.

    Args:
        phone: where it runs.
        stream: a stream to adbd's service ``shell,v2,raw:``.
    """

    def __init__(self, phone: Connected, stream: socket.socket) -> None:
        self._phone, self._stream = phone, stream
        self._received, self._stdout, self._stderr = bytearray(), bytearray(), bytearray()
        self._exit_code: int | None = None
        self._reader: threading.Thread | None = None
        self._log_grew = threading.Event()

    def __enter__(self) -> RemoteProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the command, as unplugging the phone would."""
        with suppress(OSError):
            # Wakes a thread that waits for data, which close alone doesn't.
            self._stream.shutdown(socket.SHUT_RDWR)
        self._stream.close()
        if self._reader is not None:
            self._reader.join()

    def write(self, data: bytes) -> None:
        """Writes to standard input.

        Raises:
            DeviceError: the connection was lost.
        """
        self._send(_STDIN, data)

    def line(self) -> str:
        """The next line of standard output.

        Raises:
            DeviceError: the command ended before (its error message is the reason), or the connection was lost.
        """
        while b"\n" not in self._stdout:
            if self._exit_code is not None:
                raise CommandEndedError(
                    f"A command on {self._phone.serial} ended unexpectedly",
                    why=ShellResult(self._exit_code, b"", bytes(self._stderr)).error_line,
                    hint="Run the command again with --debug.",
                )
            self._receive()
        line, _, rest = bytes(self._stdout).partition(b"\n")
        self._stdout = bytearray(rest)
        return line.decode("utf-8", "replace")

    def communicate(self, stdin: Iterable[bytes] = ()) -> ShellResult:
        """Writes standard input, closes it, and waits for the end of the command.

        If the command ends earlier, the rest of the input isn't sent.

        Raises:
            DeviceError: the connection was lost, or the phone doesn't answer.
        """
        for data in stdin:
            for start in range(0, len(data), _CHUNK_BYTES):
                while self._exit_code is None and select.select([self._stream], [], [], 0)[0]:
                    self._receive()
                if self._exit_code is not None:
                    return self._result(self._exit_code)
                self.write(data[start : start + _CHUNK_BYTES])
        if self._exit_code is None:
            self._send(_CLOSE_STDIN, b"")
        while self._exit_code is None:
            self._receive()
        return self._result(self._exit_code)

    def follow(self) -> None:
        """Receives the command's output in the background from now on; a command whose output isn't read would block.

        ``line`` and ``communicate`` can't be used any more.
        """
        self._stream.settimeout(None)
        self._reader = threading.Thread(target=self._follow, name=f"log of {self._phone.serial}", daemon=True)
        self._reader.start()

    def _follow(self) -> None:
        # Whoever uses the command's connection is told why; nobody needs the log's end.
        with suppress(OSError):
            while self._exit_code is None and (data := self._stream.recv(1 << 20)):
                self._take(data)
                self._log_grew.set()

    def await_end(self, seconds: float) -> None:
        """Waits for the end of a followed command, at most so many seconds."""
        if self._reader is not None:
            self._reader.join(seconds)

    @property
    def exit_code(self) -> int | None:
        """Of the command, 128 + N if signal N killed it; None if it hasn't ended, as far as is known."""
        return self._exit_code

    def log(self) -> str:
        """Standard error so far."""
        return self._stderr.decode("utf-8", "replace")

    def await_log(self) -> None:
        """Waits until the log of a followed command is complete, at most some seconds.

        Lines that it wrote just before it answered over another connection may still be on their way.
        """
        until = time.monotonic() + _MAX_LOG_SECONDS
        while self._reader is not None and self._reader.is_alive() and time.monotonic() < until:
            self._log_grew.clear()
            if not self._log_grew.wait(_QUIET_SECONDS):
                return

    def _result(self, exit_code: int) -> ShellResult:
        return ShellResult(exit_code, bytes(self._stdout), bytes(self._stderr))

    def _send(self, kind: int, data: bytes) -> None:
        try:
            self._stream.sendall(_PACKET.pack(kind, len(data)) + data)
        except OSError as error:
            raise self._phone.lost(str(error)) from error

    def _receive(self) -> None:
        """Receives data, waiting for it if none has arrived, and takes complete packets out of it."""
        try:
            data = self._stream.recv(1 << 20)
        except TimeoutError as error:
            raise self._phone.lost(f"No answer for {ANSWER_SECONDS:.0f} seconds.") from error
        except OSError as error:
            raise self._phone.lost(str(error)) from error
        if not data:
            raise self._phone.lost("The connection closed.")
        self._take(data)

    def _take(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= _PACKET.size:
            kind, length = _PACKET.unpack_from(self._received)
            if len(self._received) < _PACKET.size + length:
                return
            payload = bytes(self._received[_PACKET.size : _PACKET.size + length])
            del self._received[: _PACKET.size + length]
            if kind == _STDOUT:
                self._stdout += payload
            elif kind == _STDERR:
                self._stderr += payload
            elif kind == _EXIT:
                self._exit_code = payload[0] if payload else 255
