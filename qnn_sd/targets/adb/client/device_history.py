"""What the adb server says of its phones, from some moment on (AOSP, packages/modules/adb, ``host:track-devices``)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

# adb's state of a phone that can be used.
READY = "device"
# A phone that adb doesn't list.
ABSENT = "absent"
_LENGTH_DIGITS = 4


class DeviceHistory:
    """The states of all phones since it was made.

    The server sends each change, and the kernel keeps it until it is read.

    Args:
        connect: gives a connected stream of ``host:track-devices``.

    Attributes:
        server_ended: whether the server has ended since.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._stream = connect()
        self._stream.setblocking(False)
        self._received = bytearray()
        self._listings: list[dict[str, str]] = []
        self._lock = threading.Lock()
        self.server_ended = False

    def states(self, serial: str) -> list[str]:
        """The states of a phone in order, ``ABSENT`` where it wasn't listed; the last one is that of now."""
        with self._lock:
            self._read()
            states: list[str] = []
            for listing in self._listings:
                state = listing.get(serial, ABSENT)
                if states[-1:] != [state]:
                    states.append(state)
            return states or [ABSENT]

    def forget(self) -> None:
        """Keeps the present state alone: what was before has been told."""
        with self._lock:
            del self._listings[:-1]

    def _read(self) -> None:
        with suppress(BlockingIOError):
            try:
                while data := self._stream.recv(1 << 16):
                    self._received += data
                self.server_ended = True
            except BlockingIOError:
                raise
            except OSError:
                self.server_ended = True
        while len(self._received) >= _LENGTH_DIGITS:
            end = _LENGTH_DIGITS + int(self._received[:_LENGTH_DIGITS], 16)
            if len(self._received) < end:
                return
            text = bytes(self._received[_LENGTH_DIGITS:end]).decode("utf-8", "replace")
            del self._received[:end]
            pairs = (line.split("\t", 1) for line in text.splitlines() if "\t" in line)
            self._listings.append({serial: state.strip() for serial, state in pairs})
