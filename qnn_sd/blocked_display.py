"""A moving line on a terminal while this process can't draw: a small process of its own draws it.

It imports nothing of this package and starts in a hundredth of a second. It ends, and wipes its line, when this
process closes the pipe between them, or is gone.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SCRIPT = r"""
import select, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
title, width, started, turn = sys.argv[1], int(sys.argv[2]), time.monotonic(), 0
while not select.select([sys.stdin], [], [], 0.15)[0]:
    seconds = int(time.monotonic() - started)
    text = f"{'|/-' + chr(92)}"[turn % 4] + f" {title} {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    sys.stderr.write("\r\x1b[2K" + text[: width - 1])
    sys.stderr.flush()
    turn += 1
sys.stderr.write("\r\x1b[2K")
sys.stderr.flush()
"""


@contextmanager
def shown_while_blocked(title: str, width: int) -> Iterator[None]:
    """Shows what is worked on and for how long, on the terminal of stderr, while the block runs.

    Args:
        title: what is worked on.
        width: of the terminal, in characters.
    """
    child = None
    # A machine that can start no process can load a model all the same.
    with suppress(OSError):
        command = [sys.executable, "-I", "-S", "-c", _SCRIPT, title, str(width)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        if child is not None:
            assert child.stdin is not None, "it was asked for"
            child.stdin.close()
            child.wait()
