"""A small process beside the command: it answers a signal at once, and cleans up however the command ends.

ONNX Runtime holds Python's interpreter lock while it opens a session (17 s for a UNet of Stable Diffusion 1.5, float
graph, on the CPU). No thread of the command can say anything meanwhile, so another process does.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Sent through the same pipe as the numbers of signals: the command has said something itself.
ACKNOWLEDGED = 0
# A command that stops within this time needs no "stopping".
_PATIENCE_SECONDS = 0.1


@dataclass(frozen=True)
class Guardian:
    """The command's ends of the pipes.

    Attributes:
        signals: where the numbers of signals are written to.
        relayed: where they come back, for a thread of the command.
    """

    signals: int
    relayed: int


def start(scratch: str | None, second_signal_kills: bool) -> Guardian:
    """Starts the guardian, which ends with this process.

    Args:
        scratch: the folder of this process's temporary files, which the guardian removes at the end.
        second_signal_kills: whether the same signal a second time ends this process without the guardian.
    """
    reader, writer = os.pipe()
    relayed, relay = os.pipe()
    command = os.getpid()
    if os.fork() == 0:
        try:
            _leave_all_but(reader, relay)
            _serve(command, reader, relay, second_signal_kills)
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
        finally:
            os._exit(0)
    os.close(reader)
    os.close(relay)
    # A signal's handler may not wait.
    os.set_blocking(writer, False)
    return Guardian(writer, relayed)


def _leave_all_but(*kept: int) -> None:
    """Ignores the signals, and closes what the command has open: whoever reads its stdout waits for the last writer."""
    for number in (*SIGNALS, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    for descriptor in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        if descriptor not in (2, *kept):
            with suppress(OSError):
                os.close(descriptor)


def _serve(command: int, reader: int, relay: int, second_signal_kills: bool) -> None:
    first, told = 0, False
    while True:
        waits = _PATIENCE_SECONDS if first and not told else None
        if not select.select([reader], [], [], waits)[0]:
            _say(first)
            told = True
            continue
        received = os.read(reader, 16)
        if not received:
            return
        for number in received:
            if number == ACKNOWLEDGED:
                told = True
            elif number in SIGNALS:
                with suppress(OSError):
                    os.write(relay, bytes([number]))
                if first and not (second_signal_kills and number == first) and os.getppid() == command:
                    os.kill(command, signal.SIGKILL)
                first = first or number


def _say(number: int) -> None:
    again = "Ctrl-C again" if number == signal.SIGINT else f"{signal.Signals(number).name} again"
    # Over a progress bar, which is drawn anew below.
    clear = "\r\x1b[K" if os.isatty(2) else ""
    with suppress(OSError):
        os.write(2, f"{clear}stopping after this call; {again} ends at once\n".encode())
