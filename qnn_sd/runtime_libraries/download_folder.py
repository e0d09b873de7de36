"""The folder of downloaded artifacts, which one command at a time writes to."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qnn_sd.console import Console
from qnn_sd.output_files import output_error


def download_folder(cache: Path) -> Path:
    """The folder of downloaded artifacts in a cache."""
    return cache / "downloads"


@contextmanager
def download_lock(cache: Path, console: Console) -> Iterator[None]:
    """Locks the folder for the block; waits while another command holds the lock.

    Raises:
        OutputError: the folder can't be written.
    """
    lock = download_folder(cache) / ".lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        raise output_error(lock, error) from error
    with file:
        # Some network file systems have no locks. A file that two commands wrote to still fails its hash.
        with suppress(OSError):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                console.say(f"waiting for another qnn-sd that downloads (it holds {lock})")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
