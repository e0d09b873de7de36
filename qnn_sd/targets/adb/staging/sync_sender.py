"""Sending files over adb's sync service (AOSP, packages/modules/adb, docs/dev/sync.md).

It is the way that ``adb push`` goes, and adbd's fastest. The next file is on its way before the last
one is acknowledged, so small ones cost no round trip each.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Iterable
from types import TracebackType

from qnn_sd.errors import StagingError
from qnn_sd.targets.adb.client.adb import Phone, gone

_HEAD = struct.Struct("<4sI")
# SYNC_DATA_MAX (file_sync_protocol.h).
_DATA_BYTES = 64 << 10
# A regular file that everybody may read.
_MODE = 0o100644


def refused(phone: Phone, what: str, why: str) -> StagingError:
    """The error of a phone that can't do something with files."""
    return StagingError(
        f"{phone.serial} can't {what}",
        why=why,
        hint="Make room on the phone (qnn-sd unstage), or look at it with adb shell.",
    )


class SyncSender:
    """One connection to a phone's sync service; use as a context manager.

    Args:
        phone: where files go.
    """

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._stream = phone.open_service("sync:")
        self._received = bytearray()
        self._unanswered: list[str] = []

    def __enter__(self) -> SyncSender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; a file that is on its way is thrown away by the phone."""
        self._stream.close()

    def send(self, target: str, data: Iterable[memoryview]) -> None:
        """Sends a file; what was there is replaced. ``arrived`` tells when it is there.

        Args:
            target: absolute path on the phone; its folder is made where it is missing.
            data: the content, in chunks; each is done with when the next one is taken.

        Raises:
            DeviceError: the phone went away.
            StagingError: it refuses an earlier file.
        """
        name = f"{target},{_MODE}".encode()
        self._write(_HEAD.pack(b"SEND", len(name)) + name)
        for view in data:
            parts: list[bytes | memoryview] = []
            for start in range(0, len(view), _DATA_BYTES):
                piece = view[start : start + _DATA_BYTES]
                parts += [_HEAD.pack(b"DATA", len(piece)), piece]
            self._write_all(parts)
        self._write(_HEAD.pack(b"DONE", int(time.time())))
        self._unanswered.append(target)

    def arrived(self, wait: bool = False) -> list[str]:
        """The files that the phone has acknowledged since it was last asked, in order.

        Args:
            wait: until all that were sent are there.

        Raises:
            DeviceError: the phone went away.
            StagingError: it refuses one, such as for a full disk.
        """
        found = []
        while self._unanswered and (wait or self._readable()):
            self._receive()
            while len(self._received) >= _HEAD.size and self._unanswered:
                answer, length = _HEAD.unpack_from(self._received)
                if answer == b"OKAY":
                    del self._received[: _HEAD.size]
                    found.append(self._unanswered.pop(0))
                elif answer == b"FAIL" and len(self._received) < _HEAD.size + length:
                    break
                else:
                    said = bytes(self._received[_HEAD.size : _HEAD.size + length]).decode("utf-8", "replace")
                    why = said or f"It answered {answer!r}."
                    raise refused(self._phone, f"take {self._unanswered[0]}", why)
        return found

    def _readable(self) -> bool:
        return bool(select.select([self._stream], [], [], 0)[0])

    def _receive(self) -> None:
        try:
            data = self._stream.recv(1 << 16)
        except OSError as error:
            raise gone(self._phone.serial, str(error)) from error
        if not data:
            raise gone(self._phone.serial, "The connection closed.")
        self._received += data

    def _write(self, data: bytes) -> None:
        self._write_all([data])

    def _write_all(self, parts: list[bytes | memoryview]) -> None:
        """Sends parts as they lie: nothing is copied into one."""
        try:
            while parts:
                sent = self._stream.sendmsg(parts)
                while parts and sent >= len(parts[0]):
                    sent -= len(parts.pop(0))
                if sent:
                    parts[0] = memoryview(parts[0])[sent:]
        except OSError as error:
            raise gone(self._phone.serial, str(error)) from error
