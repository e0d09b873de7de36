"""Opening an ONNX Runtime session of a large model takes many seconds in which no other thread of Python runs.

Whoever shows progress says here what is to happen around it; whoever opens a session needn't know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

# Takes what is loaded and its bytes.
Watcher = Callable[[str, int], AbstractContextManager[None]]
_watcher: Watcher | None = None


def watch(watcher: Watcher | None) -> None:
    """Says what is to happen around each loading from now on; None for nothing."""
    global _watcher  # noqa: PLW0603 (one display a process)
    _watcher = watcher


@contextmanager
def loading(model: Path) -> Iterator[None]:
    """The block opens a session of a model.

    Args:
        model: its ONNX file; its weights are beside it.
    """
    if _watcher is None:
        yield
        return
    count = sum(path.stat().st_size for path in model.parent.iterdir() if path.suffix in (".onnx", ".bin"))
    with _watcher(_title(model.parent), count):
        yield


def _title(folder: Path) -> str:
    """What people call a model by its folder: an artifact's without its key, a bundle's by its component."""
    if folder.name in ("cpu", "htp"):
        return folder.parent.name
    return re.sub(r"-[0-9a-f]{12}$", "", folder.name)
