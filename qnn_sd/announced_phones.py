"""Virtual phones that run or are about to: each keeps a locked file, by which other commands find it.

A file whose lock nobody holds is a leftover of a phone that was killed, and is removed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs


def state_folder() -> Path:
    """Where the files are, and the logs of phones that run in the background."""
    return platformdirs.user_state_path("qnn-sd") / "virtual-phones"


@dataclass(frozen=True)
class AnnouncedPhone:
    """A virtual phone of this user.

    Attributes:
        pid: its process.
        address: by which adb names it; None while it isn't known.
        soc: that it has.
        adb_port: of the adb server that it connects itself to; None where somebody else does.
    """

    pid: int
    address: str | None
    soc: str
    adb_port: int | None


class Announcement:
    """This process's file.

    Args:
        path: of the file.
        handle: open and locked.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle

    def say(self, phone: AnnouncedPhone) -> None:
        """Writes what holds from now on."""
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, json.dumps(asdict(phone)).encode(), 0)


@contextmanager
def announced(phone: AnnouncedPhone) -> Iterator[Announcement]:
    """Announces a phone of this process while the block runs.

    Raises:
        OSError: the file can't be written.
    """
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{phone.pid}.json"
    # A number may come again; what another process left there is no longer anybody's.
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        announcement = Announcement(path, handle)
        announcement.say(phone)
        yield announcement
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def phones() -> list[AnnouncedPhone]:
    """The phones that run or are about to, by the number of their process; removes leftovers."""
    found = []
    for path in sorted(state_folder().glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            # Whatever else lies there must not be waited for.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                if _is_free(handle):
                    path.unlink(missing_ok=True)
                else:
                    found.append(AnnouncedPhone(**json.loads(os.pread(handle, 1 << 16, 0))))
            finally:
                os.close(handle)
    return found


def runs(pid: int) -> bool:
    """Whether a phone's process still runs."""
    return any(phone.pid == pid for phone in phones())


def _is_free(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
