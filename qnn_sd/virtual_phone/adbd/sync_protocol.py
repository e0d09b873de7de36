"""Messages of adb's file transfer (AOSP's ``docs/dev/sync.md``, ``file_sync_protocol.h``)."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

# SYNC_DATA_MAX and the limit of handle_sync_command, bytes.
DATA_MAX = 64 * 1024
PATH_MAX = 1024
# kSyncFlagDryRun; the other flags stand for compression, which isn't announced.
DRY_RUN = 0x80000000

# An id of four letters, then a length or a time.
HEADER = struct.Struct("<4sI")
SEND_2 = struct.Struct("<4sII")
RECV_2 = struct.Struct("<4sI")
_STAT_1 = struct.Struct("<4sIII")
_STAT_2 = struct.Struct("<4sIQQIIIIQqqq")
_DENT_1 = struct.Struct("<4sIIII")
_DENT_2 = struct.Struct("<4sIQQIIIIQqqqI")
# The first version's sizes and times have 32 bits.
_LOW_32 = 0xFFFFFFFF


class SyncError(Exception):
    """Sent to the host as FAIL; the stream then ends."""


def sync_error(what: str, error: OSError) -> SyncError:
    """The failure of an operation on a file."""
    return SyncError(f"{what}: {error.strerror}")


class SyncSource:
    """Reads the host's messages.

    Args:
        reader: of the stream; its ``read(n)`` waits for n bytes or the end.
    """

    def __init__(self, reader: BinaryIO) -> None:
        self._reader = reader

    def read_exactly(self, count: int) -> bytes:
        """The next ``count`` bytes.

        Raises:
            EOFError: the stream ended before.
        """
        data = self._reader.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def read_header(self) -> tuple[bytes, int]:
        """The next message's id, and its length or time.

        Raises:
            EOFError: the stream ended before.
        """
        name, value = HEADER.unpack(self.read_exactly(HEADER.size))
        return name, value


def stat_1(status: os.stat_result | None) -> bytes:
    """The answer to STAT; None for a path that has no file."""
    if status is None:
        return _STAT_1.pack(b"STAT", 0, 0, 0)
    return _STAT_1.pack(b"STAT", status.st_mode, status.st_size & _LOW_32, int(status.st_mtime) & _LOW_32)


def stat_2(request: bytes, status: os.stat_result, uid: int) -> bytes:
    """The answer to STA2 or LST2, for a file of a user."""
    return _STAT_2.pack(request, *_stat_2_fields(status, uid))


def stat_2_error(request: bytes, number: int) -> bytes:
    """The answer to STA2 or LST2, for an errno."""
    return _STAT_2.pack(request, number, *[0] * 10)


def dent_1(name: bytes, status: os.stat_result) -> bytes:
    """One entry of LIST's answer."""
    size, mtime = status.st_size & _LOW_32, int(status.st_mtime) & _LOW_32
    return _DENT_1.pack(b"DENT", status.st_mode, size, mtime, len(name)) + name


def dent_2(name: bytes, status: os.stat_result, uid: int) -> bytes:
    """One entry of LIS2's answer."""
    return _DENT_2.pack(b"DNT2", *_stat_2_fields(status, uid), len(name)) + name


def end_of_list(version: int) -> bytes:
    """The end of LIST's (version 1) or LIS2's (version 2) answer."""
    return b"DONE" + bytes((_DENT_2 if version == 2 else _DENT_1).size - 4)


def _stat_2_fields(status: os.stat_result, uid: int) -> tuple[int, ...]:
    times = (int(status.st_atime), int(status.st_mtime), int(status.st_ctime))
    return (0, status.st_dev, status.st_ino, status.st_mode, status.st_nlink, uid, uid, status.st_size, *times)
