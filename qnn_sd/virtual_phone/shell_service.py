"""``shell:`` and ``exec:`` (AOSP's ``docs/dev/services.md``, ``shell_protocol.h`` and ``daemon/shell_service.cpp``)."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from qnn_sd.virtual_phone.cable import Cable, CablePulledError
from qnn_sd.virtual_phone.commands.call import Machine
from qnn_sd.virtual_phone.files import HOME
from qnn_sd.virtual_phone.shell.interpreter import Handles, Shell
from qnn_sd.virtual_phone.stream import Stream

# Ids of shell_protocol.h; each packet is its id, a length of 32 bits and the data.
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = 0, 1, 2, 3, 4
_PACKET = struct.Struct("<BI")
_PIECE = 64 * 1024
_PROMPT = "virtual-phone:/ $ "
# Ctrl-C and Ctrl-D as a terminal sends them.
_INTERRUPT, _END_OF_TEXT = b"\x03", b"\x04"

# What adbd gives a shell, from init's own environment and shell_service.cpp.
ENVIRONMENT = {
    "ANDROID_DATA": "/data",
    "ANDROID_ROOT": "/system",
    "HOME": "/",
    "HOSTNAME": "localhost",
    "LOGNAME": "shell",
    "PATH": "/system/bin:/vendor/bin",
    "PWD": "/",
    "SHELL": "/system/bin/sh",
    "TMPDIR": HOME,
    "USER": "shell",
}


@dataclass(frozen=True)
class ShellService:
    """One shell on a stream.

    Attributes:
        machine: the phone.
        command: a script; empty for what stdin brings.
        protocol: whether stdin, both outputs and the exit code travel in packets (shell v2).
        terminal: whether the shell gets a pseudo-terminal.
        cable: what can break while standard input comes.
    """

    machine: Machine
    command: str
    protocol: bool
    terminal: bool
    cable: Cable

    def __call__(self, stream: Stream) -> None:
        """Runs the shell to its end, or until the host closes the stream: then it hangs up."""
        pipes = _terminal() if self.terminal else _pipes(separate_stderr=self.protocol)
        shell = Shell(self.machine, ENVIRONMENT)
        status = 0

        def interpret() -> None:
            nonlocal status
            try:
                if self.command:
                    status = shell.run_text(self.command, pipes.shell)
                else:
                    status = shell.run_lines(pipes.shell, _PROMPT if self.terminal else "")
            except OSError as error:
                # The host is gone, or this machine is out of descriptors.
                status = 1
                with suppress(OSError):
                    os.write(pipes.shell[2], f"/system/bin/sh: {error.strerror}\n".encode())
            finally:
                for handle in pipes.shell:
                    os.close(handle)

        start = self.machine.threads.start
        feeder = start("stdin", lambda: self._feed(stream, pipes.stdin, shell))
        outputs = [
            start("output", lambda: _pump(pipes.stdout, self._sender(stream, _STDOUT))),
            start("shell", interpret),
        ]
        if pipes.stderr is not None:
            errors = pipes.stderr
            outputs.append(start("errors", lambda: _pump(errors, self._sender(stream, _STDERR))))
        stream.when_ended(shell.hang_up)
        for thread in outputs:
            thread.join()
        shell.close()
        try:
            if self.protocol:
                stream.write(_PACKET.pack(_EXIT, 1) + bytes([status & 0xFF]))
        finally:
            stream.close()
            feeder.join()
            pipes.close_ours()

    def _sender(self, stream: Stream, kind: int) -> Callable[[bytes], None]:
        if not self.protocol:
            return stream.write
        return lambda data: stream.write(_PACKET.pack(kind, len(data)) + data)

    def _feed(self, stream: Stream, stdin: int, shell: Shell) -> None:
        """Hands on what the host sends for stdin, up to its end."""
        rest = b""
        opened = True
        while data := stream.read():
            pieces = [data]
            if self.protocol:
                pieces, rest, ended = _unpack(rest + data)
            else:
                ended = False
            for piece in pieces:
                allowed = self.cable.carries(len(piece))
                if opened:
                    opened = self._write(stdin, piece[:allowed], shell)
                if allowed < len(piece):
                    with suppress(CablePulledError):
                        self.cable.breaks()
                    if opened:
                        self._end(stdin)
                    return  # what was still on its way is lost
            if ended and opened:
                self._end(stdin)
                opened = False
        if opened:
            self._end(stdin)

    def _write(self, stdin: int, data: bytes, shell: Shell) -> bool:
        """Whether the shell still reads."""
        if self.terminal and _INTERRUPT in data:
            shell.hang_up()
            self._end(stdin)
            return False
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(stdin, view) :]
        except OSError:
            # Nobody reads it: a shell that is over, or one that never asked.
            if not self.terminal:
                os.close(stdin)
            return False
        return True

    def _end(self, stdin: int) -> None:
        if self.terminal:
            with suppress(OSError):
                # Once for a line that has begun, once for the end.
                os.write(stdin, 2 * _END_OF_TEXT)
        else:
            os.close(stdin)


@dataclass(frozen=True)
class _Pipes:
    """The shell's three descriptors, and our ends of them (a terminal has one for all)."""

    shell: Handles
    stdin: int
    stdout: int
    stderr: int | None

    def close_ours(self) -> None:
        """Closes what we read from; the end that feeds stdin is closed where it ends."""
        for handle in {self.stdout} | ({self.stderr} if self.stderr is not None else set()):
            os.close(handle)


def _pipes(separate_stderr: bool) -> _Pipes:
    stdin, our_stdin = os.pipe()
    our_stdout, stdout = os.pipe()
    our_stderr, stderr = os.pipe() if separate_stderr else (None, os.dup(stdout))
    return _Pipes((stdin, stdout, stderr), our_stdin, our_stdout, our_stderr)


def _terminal() -> _Pipes:
    ours, theirs = os.openpty()
    return _Pipes((theirs, os.dup(theirs), os.dup(theirs)), ours, ours, None)


def _pump(source: int, send: Callable[[bytes], None]) -> None:
    """Hands on what a descriptor brings, up to its end. What the host doesn't take any more is dropped."""
    wanted = True
    while True:
        try:
            data = os.read(source, _PIECE)
        except OSError:
            return  # a terminal's end: EIO
        if not data:
            return
        if wanted:
            try:
                send(data)
            except OSError:
                wanted = False


def _unpack(data: bytes) -> tuple[list[bytes], bytes, bool]:
    """stdin's bytes out of whole packets, what is left of the last one, and whether stdin ended."""
    pieces, ended = [], False
    while len(data) >= _PACKET.size:
        kind, length = _PACKET.unpack_from(data)
        end = _PACKET.size + length
        if len(data) < end:
            break
        if kind == _STDIN and not ended:
            pieces.append(data[_PACKET.size : end])
        ended = ended or kind == _CLOSE_STDIN
        data = data[end:]
    return pieces, data, ended
