"""What a command says when a signal stops it."""

from __future__ import annotations

import signal

from qnn_sd import interruption
from qnn_sd.console import Console
from qnn_sd.errors import HungUp, Interrupted, QnnSdError, Terminated

_CAUSES: dict[int | None, tuple[type[QnnSdError], str]] = {
    signal.SIGHUP: (HungUp, "The terminal was closed (SIGHUP)."),
    signal.SIGTERM: (Terminated, "It was told to end (SIGTERM)."),
}


def stopped(console: Console) -> QnnSdError:
    """Says that the command stops, what is kept and how to go on; returns it as an error with an exit code."""
    interruption.acknowledge()
    kind, why = _CAUSES.get(interruption.stopped_by(), (Interrupted, "Ctrl-C."))
    kept_lines = tuple(console.kept.lines())
    hint = "Type the same line again to go on." if kept_lines else "Type the same line again; it begins anew."
    error = kind("The command was interrupted", why=why, hint=hint)
    error.kept = kept_lines
    kept = f" Kept: {', '.join(error.kept)}." if error.kept else ""
    console.say(f"interrupted.{kept} {error.hint}")
    return error
