"""Runs of ONNX Runtime that a signal ends between two nodes."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qnn_sd.interruption import signals

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions

_lock = threading.Lock()
_running: set[RunOptions] = set()
_watcher: threading.Thread | None = None


def run_session(session: InferenceSession, outputs: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
    """Runs a session as ``session.run`` does.

    A graph that a provider runs as one node, as QNN's does, isn't ended before its end.

    Args:
        session: of any provider.
        outputs: names, or None for all.
        feeds: arrays by the inputs' names.

    Raises:
        Stopped: a signal ended the run.
    """
    if signals.relayed() is None:
        return list(session.run(outputs, dict(feeds)))
    from onnxruntime import RunOptions  # noqa: PLC0415 (large: this module is imported first of all)

    options = RunOptions()
    with _lock:
        _start_watcher()
        _running.add(options)
        if signals.stopped_by() is not None:
            options.terminate = True
    try:
        return list(session.run(outputs, dict(feeds), options))
    except Exception:
        signals.check()
        raise
    finally:
        with _lock:
            _running.discard(options)


def _start_watcher() -> None:
    global _watcher  # noqa: PLW0603 (one for the process, when there is something to end)
    if _watcher is None:
        _watcher = threading.Thread(target=_watch, name="signals", daemon=True)
        _watcher.start()


def _watch() -> None:
    relayed = signals.relayed()
    while relayed is not None and os.read(relayed, 16):
        with _lock:
            for options in _running:
                options.terminate = True
