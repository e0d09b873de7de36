"""Where an artifact is made before it is whole: a folder beside its place, locked by its builder.

A fresh one is thrown away however the work ends. A resumable one has a name that follows from
the artifact's: it outlives a build that was killed or failed, and the next one goes on in it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A builder locks its folder at once: one of this age without a lock has lost its builder.
_ABANDONED_AFTER_SECONDS = 60.0
# Nobody comes back to what was left alone for a week; a full-size one is gigabytes.
_FORGOTTEN_AFTER_SECONDS = 7 * 24 * 3600.0


@contextmanager
def fresh(target: Path) -> Iterator[Path]:
    """An empty folder of this builder alone, gone when the block ends unless it was renamed.

    Some network file systems have no locks: the builder works on all the same, and nothing is swept there.

    Args:
        target: the artifact's place, in an existing folder.

    Raises:
        OSError: no folder can be made there.
    """
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    handle = os.open(aside, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield aside
    finally:
        os.close(handle)
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def resumable(target: Path, report: Callable[[str], None]) -> Iterator[Path]:
    """The folder that all builders of one artifact fill, one after the other; it stays if the block fails.

    What an earlier builder was writing when it ended (``.*.part``, by ``output_files.written_aside``) is removed;
    what it had finished is there.

    Args:
        target: the artifact's place, in an existing folder.
        report: gets a line when another process holds the folder, before waiting until it ends.

    Raises:
        OSError: no folder can be made there, or none can be locked: two builders at once would mix their files.
    """
    aside = target.with_name(f".{target.name}.resumable")
    handle = _held(aside, f"another process is making {target.name}: waiting for it", report)
    try:
        for left in list(aside.rglob(".*.part")):
            remove(left)
        yield aside
    finally:
        os.close(handle)


def _held(aside: Path, busy: str, report: Callable[[str], None]) -> int:
    """Makes the folder if it isn't there, and returns a descriptor that holds its lock."""
    while True:
        aside.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            handle = os.open(aside, os.O_RDONLY)
            try:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    report(busy)
                    fcntl.flock(handle, fcntl.LOCK_EX)
                # Whoever held it may have renamed it to its place, or swept it away: then this lock guards nothing.
                if os.path.samestat(os.fstat(handle), aside.stat()):
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)


def remove(path: Path) -> None:
    """Removes a file, or a folder with all that is in it.

    Raises:
        OSError: it can't be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sweep(stage: Path) -> None:
    """Removes what killed builders left in a stage's folder: fresh ones soon, resumable ones after a week."""
    for pattern, age in ((".*.part", _ABANDONED_AFTER_SECONDS), (".*.resumable", _FORGOTTEN_AFTER_SECONDS)):
        for left in stage.glob(pattern):
            # Whoever sweeps or builds at the same time may be faster: then there is nothing to do.
            with suppress(OSError):
                if time.time() - _last_change(left) > age:
                    _remove_unless_held(left)


def _last_change(folder: Path) -> float:
    """When something in a folder changed last, in seconds since the epoch."""
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


def _remove_unless_held(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(handle)
