"""The folder on the host that belongs to one virtual phone."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from qnn_sd.errors import VirtualPhoneError

_LOCK_FILE = "virtual-phone.lock"
# unix(7): 108 bytes with the zero at the end. A worker's socket is named qnn-sd- and 16 hex digits.
_MAX_SOCKET_PATH, _SOCKET_NAME_LENGTH = 107, 24


def require_short_path(sockets: Path) -> None:
    """Raises a VirtualPhoneError if socket files in a folder would have too long paths."""
    limit = _MAX_SOCKET_PATH - 1 - _SOCKET_NAME_LENGTH
    if len(os.fsencode(sockets)) > limit:
        raise VirtualPhoneError(
            f"The path of {sockets} is too long",
            why=f"Socket files are created there, and the path of a socket has at most {_MAX_SOCKET_PATH} bytes.",
            hint=f"Choose a folder with --root whose path has at most {limit - len('/sockets')} bytes.",
        )


def lock_root(root: Path) -> int:
    """Creates and locks a phone's folder; returns the descriptor of the lock.

    Raises:
        VirtualPhoneError: it has other files, or another phone uses it.
        OSError: it can't be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()) and not (root / _LOCK_FILE).is_file():
        raise VirtualPhoneError(
            f"{root} is not a virtual phone's folder",
            why="It has other files in it.",
            hint="Choose an empty folder with --root.",
        )
    handle = os.open(root / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        raise VirtualPhoneError(
            f"{root} belongs to a virtual phone that runs", hint="Choose another folder with --root."
        ) from error
    return handle
