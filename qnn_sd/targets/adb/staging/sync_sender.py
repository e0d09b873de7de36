"""Sending files over adb's sync service (AOSP, packages/modules/adb, docs/dev/sync.md).

``adb push`` uses it too; it is adbd's fastest service. A file is sent before the one before it is acknowledged, so that
small files don't cost a round trip each.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Iterable
from types import TracebackType

from qnn_sd.targets.adb.client import Phone
from qnn_sd.targets.adb.staging.staging_errors import phone_refused

_HEADER = struct.Struct("<4sI")
# SYNC_DATA_MAX (file_sync_protocol.h).
_DATA_BYTES = 64 << 10
# A regular file that everybody may read.
_FILE_MODE = 0o100644


class SyncSender:
    """One connection to a phone's sync service; use it as a context manager.

    Args:
        phone: where files are sent.
    """

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._stream = phone.open_service("sync:")
        self._received = bytearray()
        self._unacknowledged: list[str] = []

    def __enter__(self) -> SyncSender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; the phone discards a file that is on its way."""
        self._stream.close()

    def send(self, target: str, data: Iterable[memoryview]) -> None:
        """Sends a file, replacing an existing one; ``acknowledged`` reports its arrival.

        Args:
            target: absolute path on the phone; missing folders are created.
            data: the content, in chunks; each has been sent when the next one is taken.

        Raises:
            DeviceError: the connection was lost.
        """
        name = f"{target},{_FILE_MODE}".encode()
        self._write(_HEADER.pack(b"SEND", len(name)) + name)
        for chunk in data:
            buffers: list[bytes | memoryview] = []
            for start in range(0, len(chunk), _DATA_BYTES):
                part = chunk[start : start + _DATA_BYTES]
                buffers += [_HEADER.pack(b"DATA", len(part)), part]
            self._write_all(buffers)
        self._write(_HEADER.pack(b"DONE", int(time.time())))
        self._unacknowledged.append(target)

    def acknowledged(self, wait: bool = False) -> list[str]:
        """The files that the phone has acknowledged since the last call, in order.

        Args:
            wait: whether to wait for all files that were sent.

        Raises:
            DeviceError: the connection was lost.
            StagingError: the phone refused one, such as for a full partition.
        """
        targets = []
        while self._unacknowledged and (wait or self._readable()):
            self._receive()
            while len(self._received) >= _HEADER.size and self._unacknowledged:
                answer, length = _HEADER.unpack_from(self._received)
                if answer == b"OKAY":
                    del self._received[: _HEADER.size]
                    targets.append(self._unacknowledged.pop(0))
                elif answer == b"FAIL" and len(self._received) < _HEADER.size + length:
                    break
                else:
                    message = bytes(self._received[_HEADER.size : _HEADER.size + length]).decode("utf-8", "replace")
                    why = message or f"It answered {answer!r}."
                    raise phone_refused(self._phone, f"take {self._unacknowledged[0]}", why)
        return targets

    def _readable(self) -> bool:
        return bool(select.select([self._stream], [], [], 0)[0])

    def _receive(self) -> None:
        try:
            data = self._stream.recv(1 << 16)
        except OSError as error:
            raise self._phone.lost(str(error)) from error
        if not data:
            raise self._phone.lost("The connection closed.")
        self._received += data

    def _write(self, data: bytes) -> None:
        self._write_all([data])

    def _write_all(self, buffers: list[bytes | memoryview]) -> None:
        """Sends several buffers without copying them into one."""
        try:
            while buffers:
                sent = self._stream.sendmsg(buffers)
                while buffers and sent >= len(buffers[0]):
                    sent -= len(buffers.pop(0))
                if sent:
                    buffers[0] = memoryview(buffers[0])[sent:]
        except OSError as error:
            raise self._phone.lost(str(error)) from error
