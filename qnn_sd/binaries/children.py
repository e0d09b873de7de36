"""Child processes that handle a stranger's file."""

from __future__ import annotations

from collections.abc import Mapping

from qnn_sd import interruption
from qnn_sd.compile.process import Children


def run_child(
    module: str, request: Mapping[str, object], seconds: float | None = None, children: Children | None = None
) -> tuple[int, str]:
    """Runs a module of this package to its end; Ctrl-C takes it along.

    Args:
        module: its name.
        request: what it is told.
        seconds: it is killed after them; None lets it take its time.
        children: that it is one of; None for one that only this call ends.

    Returns:
        Its exit code (negative: the signal that ended it), and what it printed.

    Raises:
        TimeoutExpired: it took longer.
        TargetError: the children were ended before it started.
    """
    children = children or Children()
    child = None
    try:
        # Raised while it starts, Ctrl-C would leave a process that nobody has a handle on.
        with interruption.deferred():
            child = children.start(module, request)
        printed, _ = child.communicate(timeout=seconds)
        return child.returncode, printed
    finally:
        if child is not None:
            if child.poll() is None:
                child.kill()
                child.communicate()
            children.ended(child)
