"""Pipes or a pseudo-terminal between a shell and its stream."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from qnn_sd.virtual_phone.android.processes import StandardStreams

_CHUNK_BYTES = 64 * 1024
# Ctrl-D, as a terminal sends it.
_END_OF_TEXT = b"\x04"


@dataclass(frozen=True)
class ShellStreams:
    """The standard streams of a shell, and the service's ends of them (a terminal has one end for all).

    Attributes:
        shell: the shell's descriptors.
        stdin: to write the shell's input.
        stdout: to read its output.
        stderr: to read its errors; None if they are in the output.
        terminal: whether it is a pseudo-terminal.
    """

    shell: StandardStreams
    stdin: int
    stdout: int
    stderr: int | None
    terminal: bool

    def close_shell(self) -> None:
        """Closes the shell's descriptors."""
        for descriptor in self.shell:
            os.close(descriptor)

    def close_outputs(self) -> None:
        """Closes the ends that are read here; stdin's is closed by ``end_stdin`` or ``abandon_stdin``."""
        for descriptor in {self.stdout} | ({self.stderr} if self.stderr is not None else set()):
            os.close(descriptor)

    def end_stdin(self) -> None:
        """Ends the shell's input."""
        if self.terminal:
            with suppress(OSError):
                # Once for a line that has begun, once for the end.
                os.write(self.stdin, 2 * _END_OF_TEXT)
        else:
            os.close(self.stdin)

    def abandon_stdin(self) -> None:
        """Closes the shell's input after a failed write: the shell has ended, or it closed its stdin."""
        if not self.terminal:
            os.close(self.stdin)


def open_pipes(separate_stderr: bool) -> ShellStreams:
    """Three pipes, or two if errors go to the output."""
    shell_stdin, stdin = os.pipe()
    stdout, shell_stdout = os.pipe()
    stderr, shell_stderr = os.pipe() if separate_stderr else (None, os.dup(shell_stdout))
    return ShellStreams((shell_stdin, shell_stdout, shell_stderr), stdin, stdout, stderr, terminal=False)


def open_terminal() -> ShellStreams:
    """A pseudo-terminal."""
    ours, shell = os.openpty()
    return ShellStreams((shell, os.dup(shell), os.dup(shell)), ours, ours, None, terminal=True)


def forward(source: int, send: Callable[[bytes], None]) -> None:
    """Sends the data of a descriptor up to its end; once the host doesn't accept it, it is discarded."""
    connected = True
    while True:
        try:
            data = os.read(source, _CHUNK_BYTES)
        except OSError:
            return  # the end of a terminal: EIO
        if not data:
            return
        if connected:
            try:
                send(data)
            except OSError:
                connected = False
