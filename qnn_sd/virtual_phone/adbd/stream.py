"""One stream of a connection, as a service sees it (OPEN, OKAY, WRTE and CLSE of AOSP's ``docs/dev/protocol.md``)."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, BinaryIO

from qnn_sd.virtual_phone.adbd.packets import CLSE, OKAY, WRTE, Packet

# Payloads are acknowledged before they are read, so that the sender goes on; adbd's own sockets buffer as well.
_READ_AHEAD_BYTES = 4 * 1024 * 1024


class StreamClosedError(OSError):
    """The host closed the stream, or the connection is gone."""


class Stream:
    """A stream that the host opened; any thread may use it.

    Args:
        send: sends a packet on the connection.
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
        # The OKAY that answers OPEN allows the first write.
        self._may_write = True
        self._write_lock = threading.Lock()
        self._on_end: list[Callable[[], None]] = []

    def accept(self) -> None:
        """Answers OPEN."""
        self._send(Packet(OKAY, self.local, self._remote))

    def read(self) -> bytes:
        """Waits for the next payload; empty at the end of the stream."""
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
        """Sends all data, a payload at a time: each one when the host has acknowledged the last.

        Raises:
            StreamClosedError: the host closed the stream.
        """
        with self._write_lock:
            view = memoryview(data)
            for start in range(0, len(view), self._max_payload):
                with self._changed:
                    self._changed.wait_for(lambda: self._may_write or self._ended)
                    if self._ended or self._closed:
                        raise StreamClosedError("the host closed the stream")
                    self._may_write = False
                payload = bytes(view[start : start + self._max_payload])
                self._send(Packet(WRTE, self.local, self._remote, payload))

    def close(self) -> None:
        """Ends the stream once the host has acknowledged all payloads; a second call does nothing."""
        with self._changed:
            # As adbd: it notices the end of a service only after the OKAY to its last payload.
            self._changed.wait_for(lambda: self._may_write or self._ended)
            send_close = not (self._ended or self._closed)
            self._closed = True
        if send_close:
            self._send(Packet(CLSE, self.local, self._remote))
        self.end()

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Calls ``callback`` once, when the stream ends; immediately if it has ended."""
        with self._changed:
            if not self._ended:
                self._on_end.append(callback)
                return
        callback()

    # The methods below are called by the connection's reader.

    def deliver(self, data: bytes) -> None:
        """Takes a payload from the host."""
        with self._changed:
            if self._ended:
                return
            self._received.append(data)
            self._unread += len(data)
            acknowledge = self._unread <= _READ_AHEAD_BYTES
            if not acknowledge:
                self._unacknowledged += 1
            self._changed.notify_all()
        if acknowledge:
            self._send(Packet(OKAY, self.local, self._remote))

    def acknowledged(self) -> None:
        """Notes that the host acknowledged the last payload."""
        with self._changed:
            self._may_write = True
            self._changed.notify_all()

    def end(self) -> None:
        """Ends the stream; payloads that have arrived can still be read."""
        with self._changed:
            callbacks, self._on_end = self._on_end, []
            self._ended = True
            self._changed.notify_all()
        for callback in callbacks:
            callback()


class _RawStream(io.RawIOBase):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._unread = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._unread or self._stream.read()
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        self._unread = data[count:]
        return count


def buffered(stream: Stream, size: int) -> BinaryIO:
    """A reader of a stream; its ``read(n)`` waits for n bytes or the end.

    Args:
        stream: the stream.
        size: size of the buffer, bytes.
    """
    return io.BufferedReader(_RawStream(stream), size)
