"""``sync:``, file transfer.

After AOSP's adb: ``docs/dev/sync.md``, ``file_sync_protocol.h`` and ``daemon/file_sync_service.cpp``.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from qnn_sd.virtual_phone.cable import AdbdDiedError, Cable
from qnn_sd.virtual_phone.files import PhoneFiles
from qnn_sd.virtual_phone.stream import Stream, buffered

# SYNC_DATA_MAX and the limit of handle_sync_command, bytes.
_DATA_MAX = 64 * 1024
_PATH_MAX = 1024
# secure_mkdirs' mode of the folders that a push makes.
_FOLDER_MODE = 0o775
# kSyncFlagDryRun; compression, the other flags, isn't announced.
_DRY_RUN = 0x80000000

_REQUEST = struct.Struct("<4sI")
_STAT_1 = struct.Struct("<4sIII")
_DENT_1 = struct.Struct("<4sIIII")
_STAT_2 = struct.Struct("<4sIQQIIIIQqqq")
_DENT_2 = struct.Struct("<4sIQQIIIIQqqqI")
_SEND_2 = struct.Struct("<4sII")
_RECV_2 = struct.Struct("<4sI")
# lstat's answer and LIST's have 32 bits for a size.
_LOW = 0xFFFFFFFF


class _SyncError(Exception):
    """Told to the host as FAIL; the stream ends."""


@dataclass(frozen=True)
class SyncService:
    """adbd's file transfer.

    Attributes:
        files: the phone's tree.
        cable: what can break while pushing.
    """

    files: PhoneFiles
    cable: Cable

    def __call__(self, stream: Stream) -> None:
        """Serves requests up to QUIT, a failure, or the stream's end."""
        source = buffered(stream, _DATA_MAX)
        session = _Session(self.files, self.cable, source, stream)
        try:
            while session.serve_one():
                pass
        except _SyncError as error:
            message = str(error).encode("utf-8", "surrogateescape")
            stream.write(_REQUEST.pack(b"FAIL", len(message)) + message)


def _reason(what: str, error: OSError) -> _SyncError:
    return _SyncError(f"{what}: {error.strerror}")


class _Session:
    def __init__(self, files: PhoneFiles, cable: Cable, source: BinaryIO, stream: Stream) -> None:
        self._files, self._cable, self._source, self._stream = files, cable, source, stream

    def _exactly(self, count: int) -> bytes:
        data = self._source.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def serve_one(self) -> bool:
        """One request; False at the end."""
        try:
            name, length = _REQUEST.unpack(self._exactly(_REQUEST.size))
            if length > _PATH_MAX:
                raise _SyncError("path too long")
            path = self._exactly(length).decode("utf-8", "surrogateescape")
            if name == b"QUIT":
                return False
            self._answer(name, path)
        except EOFError:
            return False
        return True

    def _answer(self, name: bytes, path: str) -> None:
        match name:
            case b"STAT":
                self._stat_1(path)
            case b"STA2" | b"LST2":
                self._stat_2(name, path)
            case b"LIST" | b"LIS2":
                self._list(path, second=name == b"LIS2")
            case b"SEND":
                target, comma, mode = path.rpartition(",")
                if not comma:
                    raise _SyncError("missing , in ID_SEND_V1")
                if not mode.isdecimal():
                    raise _SyncError("bad mode")
                self._send(target, int(mode), dry_run=False)
            case b"SND2":
                _, mode_2, flags = _SEND_2.unpack(self._exactly(_SEND_2.size))
                if flags & ~_DRY_RUN:
                    raise _SyncError(f"unknown flags: {flags & ~_DRY_RUN}")
                self._send(path, mode_2, dry_run=bool(flags))
            case b"RECV":
                self._receive(path)
            case b"RCV2":
                _, flags = _RECV_2.unpack(self._exactly(_RECV_2.size))
                if flags:
                    raise _SyncError(f"unknown flags: {flags}")
                self._receive(path)
            case _:
                raise _SyncError(f"unknown command {int.from_bytes(name, 'little'):08x}")

    def _status(self, path: str, follow: bool) -> tuple[os.stat_result, int]:
        place = self._files.place(path, follow=follow)
        return place.host.lstat(), place.owner

    def _stat_1(self, path: str) -> None:
        mode = size = mtime = 0
        with suppress(OSError):
            status, _ = self._status(path, follow=False)
            mode, size, mtime = status.st_mode, status.st_size & _LOW, int(status.st_mtime) & _LOW
        self._stream.write(_STAT_1.pack(b"STAT", mode, size, mtime))

    def _stat_2(self, name: bytes, path: str) -> None:
        try:
            fields = _fields_2(*self._status(path, follow=name == b"STA2"))
        except OSError as error:
            fields = (error.errno or errno.EIO, *[0] * 10)
        self._stream.write(_STAT_2.pack(name, *fields))

    def _list(self, path: str, second: bool) -> None:
        answer = bytearray()
        names: list[str] = []
        # A folder that can't be read has no entries here: adbd says no more of it either.
        with suppress(OSError):
            names = [".", "..", *self._files.names(path)]
        for name in names:
            encoded = os.fsencode(name)
            try:
                status, owner = self._status(f"{path}/{name}", follow=False)
            except OSError:
                continue  # removed meanwhile
            if second:
                answer += _DENT_2.pack(b"DNT2", *_fields_2(status, owner), len(encoded))
            else:
                size, mtime = status.st_size & _LOW, int(status.st_mtime) & _LOW
                answer += _DENT_1.pack(b"DENT", status.st_mode, size, mtime, len(encoded))
            answer += encoded
        answer += b"DONE" + bytes((_DENT_2 if second else _DENT_1).size - 4)
        self._stream.write(bytes(answer))

    def _receive(self, path: str) -> None:
        try:
            handle = self._files.open_to_read(path)
        except OSError as error:
            raise _reason("read failed" if error.errno == errno.EISDIR else "open failed", error) from error
        with open(handle, "rb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
            while True:
                try:
                    piece = file.read(_DATA_MAX)
                except OSError as error:
                    raise _reason("read failed", error) from error
                if not piece:
                    break
                self._stream.write(_REQUEST.pack(b"DATA", len(piece)) + piece)
        self._stream.write(_REQUEST.pack(b"DONE", 0))

    def _send(self, path: str, mode: int, dry_run: bool) -> None:
        """Takes a file or link, in place. What failed half-way is removed, as adbd does, unless adbd itself died."""
        try:
            if dry_run:
                timestamp = self._take(None)
            elif stat.S_ISLNK(mode):
                timestamp = self._take_link(path)
            else:
                timestamp = self._take_file(path, mode)
        except _SyncError:
            # The host sends on until it reads: without this its FAIL would get lost.
            self._drain()
            raise
        if not dry_run:
            with suppress(OSError):
                host = self._files.place(path, follow=False).host
                os.utime(host, (timestamp, timestamp), follow_symlinks=False)
        self._stream.write(_REQUEST.pack(b"OKAY", 0))

    def _make_way(self, path: str) -> None:
        """Makes the folders above a file or link that comes, and removes what it replaces."""
        above = os.path.dirname(path) or "/"  # noqa: PTH120 (a path of the phone)
        if not self._files.is_folder(above):
            try:
                self._files.make_folders(above, mode=_FOLDER_MODE)
            except OSError as error:
                raise _reason("secure_mkdirs() failed", error) from error
        host = self._files.changeable(path, follow=False).host
        if host.is_symlink() or host.is_file():
            host.unlink()

    def _take_file(self, path: str, mode: int) -> int:
        mode &= 0o777
        # The owner's bits are everyone's on a phone: adbd copies them.
        mode |= (mode >> 3) & 0o070
        mode |= (mode >> 3) & 0o007
        try:
            self._make_way(path)
            handle = self._files.open_to_write(path)
        except OSError as error:
            raise _reason("couldn't create file", error) from error
        try:
            os.fchmod(handle, mode)
            return self._take(handle)
        except AdbdDiedError:
            raise
        except (OSError, EOFError, _SyncError):
            with suppress(OSError):
                self._files.inside_changeable(path).host.unlink()
            raise
        finally:
            os.close(handle)

    def _take(self, handle: int | None) -> int:
        """The file's content up to DONE; returns its time."""
        while True:
            name, size = _REQUEST.unpack(self._exactly(_REQUEST.size))
            if name == b"DONE":
                return int(size)
            if name != b"DATA" or size > _DATA_MAX:
                raise _SyncError("invalid data message")
            data = self._exactly(size)
            if handle is None:
                continue
            allowed = self._cable.carries(size)
            try:
                self._files.write(handle, data[:allowed])
            except OSError as error:
                raise _reason("write failed", error) from error
            if allowed < size:
                self._cable.breaks()

    def _take_link(self, path: str) -> int:
        name, size = _REQUEST.unpack(self._exactly(_REQUEST.size))
        if name != b"DATA" or size > _DATA_MAX:
            raise _SyncError("invalid data message: expected ID_DATA")
        target = self._exactly(size).partition(b"\0")[0]
        try:
            self._make_way(path)
            os.symlink(target, os.fsencode(self._files.inside_changeable(path).host))  # noqa: PTH211 (bytes)
        except OSError as error:
            raise _reason("symlink failed", error) from error
        name, timestamp = _REQUEST.unpack(self._exactly(_REQUEST.size))
        if name != b"DONE":
            raise _SyncError("invalid data message: expected ID_DONE")
        return int(timestamp)

    def _drain(self) -> None:
        with suppress(EOFError):
            while True:
                name, size = _REQUEST.unpack(self._exactly(_REQUEST.size))
                if name != b"DATA" or size > _DATA_MAX:
                    return
                self._exactly(size)


def _fields_2(status: os.stat_result, owner: int) -> tuple[int, ...]:
    times = (int(status.st_atime), int(status.st_mtime), int(status.st_ctime))
    return (0, status.st_dev, status.st_ino, status.st_mode, status.st_nlink, owner, owner, status.st_size, *times)
