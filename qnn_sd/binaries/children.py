"""Child processes that handle a stranger's file."""

from __future__ import annotations

from collections.abc import Mapping

from qnn_sd import interruption
from qnn_sd.compile.process import start_child


def run_child(module: str, request: Mapping[str, object], seconds: float | None = None) -> tuple[int, str]:
    """Runs a module of this package to its end; Ctrl-C takes it along.

    Args:
        module: its name.
        request: what it is told.
        seconds: it is killed after them; None lets it take its time.

    Returns:
        Its exit code (negative: the signal that ended it), and what it printed.

    Raises:
        TimeoutExpired: it took longer.
    """
    child = None
    try:
        # Raised while it starts, Ctrl-C would leave a process that nobody has a handle on.
        with interruption.deferred():
            child = start_child(module, request)
        printed, _ = child.communicate(timeout=seconds)
        return child.returncode, printed
    finally:
        if child is not None and child.poll() is None:
            child.kill()
            child.communicate()
