"""The phone's file tree, kept in a folder of the host that no path leaves.

Paths are walked here, component by component, as the phone's kernel would: ``..`` ends at the
phone's root and links start from it. So neither can lead to a file of the host.
Only ``/data/local/tmp`` and ``/sdcard`` can be written, as for a phone's shell user.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOME = "/data/local/tmp"
SHARED_STORAGE = "/storage/emulated/0"
_WRITABLE = (HOME, SHARED_STORAGE)
# A phone's shell user may pass through these, not look into them.
_UNLISTED = ("/data", "/data/local")
# SYMLOOP_MAX of Linux.
_MOST_LINKS = 40

SHELL_UID = 2000
ROOT_UID = 0

# adbd clears its umask, so a shell's files are open to all.
NEW_FILE_MODE = 0o666
NEW_FOLDER_MODE = 0o777


def failure(number: int, path: str) -> OSError:
    """An ``OSError`` of a number, about a path of the phone."""
    return OSError(number, os.strerror(number), path)


@dataclass(frozen=True)
class Place:
    """Where a path leads.

    Attributes:
        phone: the path on the phone, absolute, without links, ``.`` or ``..`` (the last component may be a link).
        host: the same on the host.
    """

    phone: str
    host: Path

    @property
    def writable(self) -> bool:
        """Whether the shell user may change what is there."""
        return any(self.phone == top or self.phone.startswith(top + "/") for top in _WRITABLE)

    @property
    def owner(self) -> int:
        """The user's number that the phone shows."""
        return SHELL_UID if self.writable else ROOT_UID


class PhoneFiles:
    """The tree.

    Args:
        root: the host's folder that is ``/`` on the phone.
        room: bytes that fit on the data partition; None for what the host has.
    """

    def __init__(self, root: Path, room: int | None = None) -> None:
        self.root, self.room = root, room
        self._room_lock = threading.Lock()

    def place(self, path: str, cwd: str = "/", follow: bool = True) -> Place:
        """Where a path leads; its last component need not exist.

        Args:
            path: of the phone; relative ones start at ``cwd``.
            cwd: an absolute path of the phone.
            follow: whether a link as the last component is followed.

        Raises:
            OSError: ENOENT, ENOTDIR, ELOOP, EINVAL or ENAMETOOLONG, as a phone's kernel says them.
        """
        if not path:
            raise failure(errno.ENOENT, path)
        if "\0" in path:
            raise failure(errno.EINVAL, path)
        waiting = [*reversed(path.split("/"))] + ([] if path.startswith("/") else [*reversed(cwd.split("/"))])
        walked: list[str] = []
        links = 0
        while waiting:
            name = waiting.pop()
            if name in ("", "."):
                continue
            if name == "..":
                del walked[-1:]
                continue
            host = self.root.joinpath(*walked, name)
            last = not any(part not in ("", ".") for part in waiting)
            mode = self._mode(host, path)
            if mode is not None and stat.S_ISLNK(mode) and (follow or waiting):
                links += 1
                if links > _MOST_LINKS:
                    raise failure(errno.ELOOP, path)
                target = str(host.readlink())
                if target.startswith("/"):
                    walked = []
                waiting += reversed(target.split("/"))
                continue
            if waiting and mode is None and not last:
                raise failure(errno.ENOENT, path)
            if waiting and mode is not None and not stat.S_ISDIR(mode):
                raise failure(errno.ENOTDIR, path)
            walked.append(name)
        return Place("/" + "/".join(walked), self.root.joinpath(*walked))

    def _mode(self, host: Path, path: str) -> int | None:
        try:
            return host.lstat().st_mode
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(error.errno or errno.EIO, path) from error

    def changeable(self, path: str, cwd: str = "/", follow: bool = True) -> Place:
        """The place of a path that is about to be made, changed or removed.

        Raises:
            OSError: EACCES below ``/data``, EROFS elsewhere, if the shell user may not; else as ``place``.
        """
        place = self.place(path, cwd, follow)
        if not place.writable:
            data = place.phone.startswith(("/data", "/storage"))
            raise failure(errno.EACCES if data else errno.EROFS, path)
        return place

    def inside_changeable(self, path: str, cwd: str = "/") -> Place:
        """``changeable`` for what is removed or renamed: not the partitions' own folders, and no link is followed.

        Raises:
            OSError: EACCES or EROFS, if the shell user may not; else as ``place``.
        """
        place = self.changeable(path, cwd, follow=False)
        if place.phone in _WRITABLE:
            raise failure(errno.EACCES, path)
        return place

    def names(self, path: str, cwd: str = "/") -> list[str]:
        """What a folder holds, sorted by bytes as toybox does.

        Raises:
            OSError: EACCES for a folder that the shell user can't list; else as ``place``.
        """
        place = self.place(path, cwd)
        if place.phone in _UNLISTED:
            raise failure(errno.EACCES, path)
        return sorted(os.listdir(place.host), key=os.fsencode)  # noqa: PTH208 (names, not paths)

    def is_folder(self, path: str, cwd: str = "/") -> bool:
        """Whether a path leads to a folder."""
        try:
            return self.place(path, cwd).host.is_dir()
        except OSError:
            return False

    def make_folders(self, path: str, cwd: str = "/", mode: int = NEW_FOLDER_MODE) -> None:
        """A folder and those above it that are missing.

        Raises:
            OSError: as ``changeable``, and EEXIST where a file is in the way.
        """
        if self.is_folder(path, cwd):
            return
        above = os.path.dirname(path.rstrip("/"))  # noqa: PTH120 (a path of the phone)
        if above:
            self.make_folders(above, cwd, mode)
        place = self.changeable(path, cwd)
        place.host.mkdir()
        place.host.chmod(mode)

    def open_to_write(self, path: str, cwd: str = "/", append: bool = False) -> int:
        """A descriptor of a file that is made or emptied (or added to).

        Raises:
            OSError: as ``changeable``, and EISDIR.
        """
        place = self.changeable(path, cwd)
        how = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            handle = os.open(place.host, how | os.O_CREAT | os.O_EXCL)
            os.fchmod(handle, NEW_FILE_MODE)
        except FileExistsError:
            handle = os.open(place.host, how | (os.O_APPEND if append else os.O_TRUNC))
        return handle

    def open_to_read(self, path: str, cwd: str = "/") -> int:
        """A descriptor of a file.

        Raises:
            OSError: as ``place``, and EISDIR.
        """
        place = self.place(path, cwd)
        if place.host.is_dir():
            raise failure(errno.EISDIR, path)
        return os.open(place.host, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def write(self, handle: int, data: bytes) -> None:
        """Writes all of it to a descriptor; files count against the phone's room.

        Raises:
            OSError: ENOSPC when the room is used up (what fits is written, as a kernel does).
        """
        if self.room is not None and stat.S_ISREG(os.fstat(handle).st_mode):
            # One writer at a time: two that measure at once would both fit.
            with self._room_lock:
                fits = max(self.room - self.used(), 0)
                _write_all(handle, data[:fits])
            if fits < len(data):
                raise failure(errno.ENOSPC, "")
        else:
            _write_all(handle, data)

    def used(self) -> int:
        """Bytes of the files on the data partition."""
        return sum(size for top in _WRITABLE for size in _sizes(self.root / top.lstrip("/")))

    def capacity(self) -> tuple[int, int]:
        """Size and free space of the data partition, bytes."""
        used = self.used()
        if self.room is not None:
            return max(self.room, used), max(self.room - used, 0)
        host = os.statvfs(self.root)
        return host.f_blocks * host.f_frsize, host.f_bavail * host.f_frsize


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _sizes(folder: Path) -> Iterator[int]:
    for above, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.lstat(f"{above}/{name}").st_size
            except FileNotFoundError:
                continue  # removed meanwhile
