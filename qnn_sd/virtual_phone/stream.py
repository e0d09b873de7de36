"""One stream of a connection, as a service sees it (OPEN, OKAY, WRTE and CLSE of AOSP's ``docs/dev/protocol.md``)."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, BinaryIO

from qnn_sd.virtual_phone.packets import CLSE, OKAY, WRTE, Packet

# Acknowledged ahead of its reader, a stream keeps the sender busy; adbd's own sockets buffer as well.
_READ_AHEAD = 4 * 1024 * 1024


class StreamClosedError(OSError):
    """The host closed the stream, or the connection is gone."""


class Stream:
    """A stream that the host opened; any thread may use it.

    Args:
        send: puts a packet on the connection.
        local: our id, not 0.
        remote: the host's id.
        max_payload: the host's limit, bytes.
    """

    def __init__(self, send: Callable[[Packet], None], local: int, remote: int, max_payload: int) -> None:
        self._send, self.local, self._remote, self._max_payload = send, local, remote, max_payload
        self._changed = threading.Condition()
        self._received: deque[bytes] = deque()
        self._unread = 0
        self._unacknowledged = 0
        self._ended = self._closed = False
        # The OKAY that answers OPEN lets us write at once.
        self._may_write = True
        self._write_lock = threading.Lock()
        self._on_end: list[Callable[[], None]] = []

    def accept(self) -> None:
        """Answers the OPEN."""
        self._send(Packet(OKAY, self.local, self._remote))

    def read(self) -> bytes:
        """The next payload, as soon as there is one; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._received or self._ended)
            if not self._received:
                return b""
            data = self._received.popleft()
            self._unread -= len(data)
            acknowledge = self._unacknowledged > 0 and not self._ended
            if acknowledge:
                self._unacknowledged -= 1
        if acknowledge:
            self._send(Packet(OKAY, self.local, self._remote))
        return data

    def write(self, data: bytes) -> None:
        """Sends everything, a payload at a time: the next one when the host has taken the last.

        Raises:
            StreamClosedError: the host doesn't take it any more.
        """
        with self._write_lock:
            view = memoryview(data)
            for start in range(0, len(view), self._max_payload):
                with self._changed:
                    self._changed.wait_for(lambda: self._may_write or self._ended)
                    if self._ended or self._closed:
                        raise StreamClosedError("the host closed the stream")
                    self._may_write = False
                piece = bytes(view[start : start + self._max_payload])
                self._send(Packet(WRTE, self.local, self._remote, piece))

    def close(self) -> None:
        """Ends the stream once the host has taken what was written; a second time does nothing."""
        with self._changed:
            # adbd hears of a service's end no sooner either: it reads on only after an OKAY.
            self._changed.wait_for(lambda: self._may_write or self._ended)
            tell = not (self._ended or self._closed)
            self._closed = True
        if tell:
            self._send(Packet(CLSE, self.local, self._remote))
        self.end()

    def when_ended(self, act: Callable[[], None]) -> None:
        """Calls ``act`` once, when the stream ends (at once, if it has)."""
        with self._changed:
            if not self._ended:
                self._on_end.append(act)
                return
        act()

    # What the connection's reader calls.

    def deliver(self, data: bytes) -> None:
        """A payload came."""
        with self._changed:
            if self._ended:
                return
            self._received.append(data)
            self._unread += len(data)
            acknowledge = self._unread <= _READ_AHEAD
            if not acknowledge:
                self._unacknowledged += 1
            self._changed.notify_all()
        if acknowledge:
            self._send(Packet(OKAY, self.local, self._remote))

    def acknowledged(self) -> None:
        """The host took our last payload."""
        with self._changed:
            self._may_write = True
            self._changed.notify_all()

    def end(self) -> None:
        """No more comes; what came can still be read."""
        with self._changed:
            acts, self._on_end = self._on_end, []
            self._ended = True
            self._changed.notify_all()
        for act in acts:
            act()


class _RawStream(io.RawIOBase):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._rest or self._stream.read()
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        self._rest = data[count:]
        return count


def buffered(stream: Stream, size: int) -> BinaryIO:
    """A reader of a stream whose ``read(n)`` waits for n bytes, or the end.

    Args:
        stream: to read.
        size: of the buffer, bytes.
    """
    return io.BufferedReader(_RawStream(stream), size)
