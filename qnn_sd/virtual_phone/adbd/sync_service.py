"""``sync:``, file transfer (``daemon/file_sync_service.cpp`` of AOSP's adb)."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass

from qnn_sd.virtual_phone.adbd import sync_protocol
from qnn_sd.virtual_phone.adbd.stream import Stream, buffered
from qnn_sd.virtual_phone.adbd.sync_protocol import (
    DATA_MAX,
    DRY_RUN,
    HEADER,
    PATH_MAX,
    RECV_2,
    SEND_2,
    SyncError,
    SyncSource,
    sync_error,
)
from qnn_sd.virtual_phone.adbd.sync_push import PushReceiver
from qnn_sd.virtual_phone.adbd.usb_cable import UsbCable
from qnn_sd.virtual_phone.android.file_system import FileSystem


@dataclass(frozen=True)
class SyncService:
    """adbd's file transfer.

    Attributes:
        files: the phone's file system.
        cable: can be unplugged during a push.
    """

    files: FileSystem
    cable: UsbCable

    def __call__(self, stream: Stream) -> None:
        """Serves requests up to QUIT, a failure, or the end of the stream."""
        session = _SyncSession(self.files, self.cable, stream)
        try:
            while session.serve_one():
                pass
        except SyncError as error:
            message = str(error).encode("utf-8", "surrogateescape")
            stream.write(HEADER.pack(b"FAIL", len(message)) + message)


class _SyncSession:
    def __init__(self, files: FileSystem, cable: UsbCable, stream: Stream) -> None:
        self._files, self._stream = files, stream
        self._source = SyncSource(buffered(stream, DATA_MAX))
        self._push = PushReceiver(files, cable, self._source)

    def serve_one(self) -> bool:
        """Serves one request; returns False at the end."""
        try:
            request, length = self._source.read_header()
            if length > PATH_MAX:
                raise SyncError("path too long")
            path = self._source.read_exactly(length).decode("utf-8", "surrogateescape")
            if request == b"QUIT":
                return False
            self._answer(request, path)
        except EOFError:
            return False
        return True

    def _answer(self, request: bytes, path: str) -> None:
        match request:
            case b"STAT":
                self._stat_1(path)
            case b"STA2" | b"LST2":
                self._stat_2(request, path)
            case b"LIST":
                self._list(path, version=1)
            case b"LIS2":
                self._list(path, version=2)
            case b"SEND":
                self._receive_1(path)
            case b"SND2":
                self._receive_2(path)
            case b"RECV":
                self._send(path)
            case b"RCV2":
                _, flags = RECV_2.unpack(self._source.read_exactly(RECV_2.size))
                if flags:
                    raise SyncError(f"unknown flags: {flags}")
                self._send(path)
            case _:
                raise SyncError(f"unknown command {int.from_bytes(request, 'little'):08x}")

    def _status(self, path: str, follow: bool) -> tuple[os.stat_result, int]:
        """A file's status and its owner's uid."""
        resolved = self._files.resolve(path, follow=follow)
        return resolved.host_path.lstat(), resolved.uid

    def _stat_1(self, path: str) -> None:
        status = None
        with suppress(OSError):
            status, _ = self._status(path, follow=False)
        self._stream.write(sync_protocol.stat_1(status))

    def _stat_2(self, request: bytes, path: str) -> None:
        try:
            status, uid = self._status(path, follow=request == b"STA2")
        except OSError as error:
            self._stream.write(sync_protocol.stat_2_error(request, error.errno or errno.EIO))
        else:
            self._stream.write(sync_protocol.stat_2(request, status, uid))

    def _list(self, path: str, version: int) -> None:
        answer = bytearray()
        names: list[str] = []
        # A folder that can't be read has no entries, as adbd answers it.
        with suppress(OSError):
            names = [".", "..", *self._files.list_folder(path)]
        for name in names:
            try:
                status, uid = self._status(f"{path}/{name}", follow=False)
            except OSError:
                continue  # removed meanwhile
            encoded = os.fsencode(name)
            if version == 1:
                answer += sync_protocol.dent_1(encoded, status)
            else:
                answer += sync_protocol.dent_2(encoded, status, uid)
        self._stream.write(bytes(answer + sync_protocol.end_of_list(version)))

    def _send(self, path: str) -> None:
        """Sends a file to the host (RECV)."""
        try:
            descriptor = self._files.open_to_read(path)
        except OSError as error:
            raise sync_error("read failed" if error.errno == errno.EISDIR else "open failed", error) from error
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
            while True:
                try:
                    data = file.read(DATA_MAX)
                except OSError as error:
                    raise sync_error("read failed", error) from error
                if not data:
                    break
                self._stream.write(HEADER.pack(b"DATA", len(data)) + data)
        self._stream.write(HEADER.pack(b"DONE", 0))

    def _receive_1(self, path_and_mode: str) -> None:
        path, comma, mode = path_and_mode.rpartition(",")
        if not comma:
            raise SyncError("missing , in ID_SEND_V1")
        if not mode.isdecimal():
            raise SyncError("bad mode")
        self._receive(path, int(mode), dry_run=False)

    def _receive_2(self, path: str) -> None:
        _, mode, flags = SEND_2.unpack(self._source.read_exactly(SEND_2.size))
        if flags & ~DRY_RUN:
            raise SyncError(f"unknown flags: {flags & ~DRY_RUN}")
        self._receive(path, mode, dry_run=bool(flags))

    def _receive(self, path: str, mode: int, dry_run: bool) -> None:
        self._push.receive(path, mode, dry_run)
        self._stream.write(HEADER.pack(b"OKAY", 0))
