"""The phone's file system, kept in one folder of the host that no path can leave.

Paths are resolved here, component by component, as the kernel of a phone does it: ``..`` stops at the phone's root, and
absolute symbolic links start there. So neither leads to a file of the host. Only ``/data/local/tmp`` and ``/sdcard``
are writable, as for the shell user of a phone.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.device_properties import LOCAL_TMP

SHARED_STORAGE = "/storage/emulated/0"
_WRITABLE = (LOCAL_TMP, SHARED_STORAGE)
# The shell user of a phone may traverse these folders, but not list them.
_NOT_LISTABLE = ("/data", "/data/local")
# SYMLOOP_MAX of Linux.
_MAX_LINKS = 40

SHELL_UID = 2000
ROOT_UID = 0

# adbd clears its umask, so the files of a shell are open to everybody.
DEFAULT_FILE_MODE = 0o666
DEFAULT_FOLDER_MODE = 0o777


def os_error(number: int, path: str) -> OSError:
    """An ``OSError`` with an errno, about a path of the phone."""
    return OSError(number, os.strerror(number), path)


@dataclass(frozen=True)
class ResolvedPath:
    """A path of the phone, resolved.

    Attributes:
        device_path: the path on the phone: absolute, without links, ``.`` or ``..`` (the last component may be a link).
        host_path: the same file on the host.
    """

    device_path: str
    host_path: Path

    @property
    def writable(self) -> bool:
        """Whether the shell user may change it."""
        return any(self.device_path == top or self.device_path.startswith(top + "/") for top in _WRITABLE)

    @property
    def uid(self) -> int:
        """The user id of its owner, as the phone shows it."""
        return SHELL_UID if self.writable else ROOT_UID


class FileSystem:
    """The phone's files.

    Args:
        root: the host's folder that is ``/`` on the phone.
        capacity: bytes that fit on the data partition; None for the free space of the host.
    """

    def __init__(self, root: Path, capacity: int | None = None) -> None:
        self.root, self.capacity = root, capacity
        self._quota_lock = threading.Lock()

    def resolve(self, path: str, cwd: str = "/", follow: bool = True) -> ResolvedPath:
        """Resolves a path; its last component need not exist.

        Args:
            path: on the phone; a relative one starts at ``cwd``.
            cwd: an absolute path on the phone.
            follow: whether the last component is followed if it is a link.

        Raises:
            OSError: ENOENT, ENOTDIR, ELOOP, EINVAL or ENAMETOOLONG, as the kernel of a phone reports them.
        """
        if not path or "\0" in path:
            raise os_error(errno.EINVAL if path else errno.ENOENT, path)
        remaining = [*reversed(path.split("/"))] + ([] if path.startswith("/") else [*reversed(cwd.split("/"))])
        resolved: list[str] = []
        links = 0
        while remaining:
            name = remaining.pop()
            if name in ("", "."):
                continue
            if name == "..":
                del resolved[-1:]
                continue
            host = self.root.joinpath(*resolved, name)
            last = not any(part not in ("", ".") for part in remaining)
            mode = _lstat_mode(host, path)
            if mode is not None and stat.S_ISLNK(mode) and (follow or remaining):
                links += 1
                if links > _MAX_LINKS:
                    raise os_error(errno.ELOOP, path)
                target = str(host.readlink())
                if target.startswith("/"):
                    resolved = []
                remaining += reversed(target.split("/"))
                continue
            if remaining and mode is None and not last:
                raise os_error(errno.ENOENT, path)
            if remaining and mode is not None and not stat.S_ISDIR(mode):
                raise os_error(errno.ENOTDIR, path)
            resolved.append(name)
        return ResolvedPath("/" + "/".join(resolved), self.root.joinpath(*resolved))

    def resolve_writable(self, path: str, cwd: str = "/", follow: bool = True) -> ResolvedPath:
        """Resolves a path that is about to be created, changed or removed.

        Raises:
            OSError: EACCES below ``/data``, EROFS elsewhere, if the shell user may not; else as ``resolve``.
        """
        resolved = self.resolve(path, cwd, follow)
        if not resolved.writable:
            data = resolved.device_path.startswith(("/data", "/storage"))
            raise os_error(errno.EACCES if data else errno.EROFS, path)
        return resolved

    def resolve_removable(self, path: str, cwd: str = "/") -> ResolvedPath:
        """``resolve_writable`` for a removal or renaming: no link is followed, and the partitions' own folders stay.

        Raises:
            OSError: EACCES or EROFS, if the shell user may not; else as ``resolve``.
        """
        resolved = self.resolve_writable(path, cwd, follow=False)
        if resolved.device_path in _WRITABLE:
            raise os_error(errno.EACCES, path)
        return resolved

    def list_folder(self, path: str, cwd: str = "/") -> list[str]:
        """The names in a folder, sorted by bytes as toybox does.

        Raises:
            OSError: EACCES for a folder that the shell user can't list; else as ``resolve``.
        """
        resolved = self.resolve(path, cwd)
        if resolved.device_path in _NOT_LISTABLE:
            raise os_error(errno.EACCES, path)
        return sorted(os.listdir(resolved.host_path), key=os.fsencode)  # noqa: PTH208 (names, not paths)

    def is_folder(self, path: str, cwd: str = "/") -> bool:
        """Whether a path is a folder, or a link to one."""
        try:
            return self.resolve(path, cwd).host_path.is_dir()
        except OSError:
            return False

    def make_folders(self, path: str, cwd: str = "/", mode: int = DEFAULT_FOLDER_MODE) -> None:
        """Creates a folder and its missing parents.

        Raises:
            OSError: as ``resolve_writable``, and EEXIST where a file has that name.
        """
        if self.is_folder(path, cwd):
            return
        parent = os.path.dirname(path.rstrip("/"))  # noqa: PTH120 (a path of the phone)
        if parent:
            self.make_folders(parent, cwd, mode)
        resolved = self.resolve_writable(path, cwd)
        resolved.host_path.mkdir()
        resolved.host_path.chmod(mode)

    def open_to_write(self, path: str, cwd: str = "/", append: bool = False) -> int:
        """Opens a file for writing, created or truncated (or to append); returns its descriptor.

        Raises:
            OSError: as ``resolve_writable``, and EISDIR.
        """
        resolved = self.resolve_writable(path, cwd)
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(resolved.host_path, flags | os.O_CREAT | os.O_EXCL)
            os.fchmod(descriptor, DEFAULT_FILE_MODE)
        except FileExistsError:
            descriptor = os.open(resolved.host_path, flags | (os.O_APPEND if append else os.O_TRUNC))
        return descriptor

    def open_to_read(self, path: str, cwd: str = "/") -> int:
        """Opens a file for reading; returns its descriptor.

        Raises:
            OSError: as ``resolve``, and EISDIR.
        """
        resolved = self.resolve(path, cwd)
        if resolved.host_path.is_dir():
            raise os_error(errno.EISDIR, path)
        return os.open(resolved.host_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def write(self, descriptor: int, data: bytes) -> None:
        """Writes all data to a descriptor; regular files count against the capacity.

        Raises:
            OSError: ENOSPC when the partition is full (what fits is written, as a kernel does).
        """
        if self.capacity is None or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            _write_all(descriptor, data)
            return
        # One writer at a time: two that measure at once would both fit.
        with self._quota_lock:
            free = max(self.capacity - self.used_bytes(), 0)
            _write_all(descriptor, data[:free])
        if free < len(data):
            raise os_error(errno.ENOSPC, "")

    def used_bytes(self) -> int:
        """Size of all files on the data partition."""
        return sum(size for top in _WRITABLE for size in _file_sizes(self.root / top.lstrip("/")))

    def disk_space(self) -> tuple[int, int]:
        """Size and free space of the data partition, bytes."""
        used = self.used_bytes()
        if self.capacity is not None:
            return max(self.capacity, used), max(self.capacity - used, 0)
        host = os.statvfs(self.root)
        return host.f_blocks * host.f_frsize, host.f_bavail * host.f_frsize


def _lstat_mode(host: Path, path: str) -> int | None:
    try:
        return host.lstat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise os_error(error.errno or errno.EIO, path) from error


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _file_sizes(folder: Path) -> Iterator[int]:
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.lstat(f"{parent}/{name}").st_size
            except FileNotFoundError:
                continue  # removed meanwhile
