"""``localabstract:NAME`` (AOSP's ``docs/dev/services.md``): a phone's abstract sockets, as socket files in a folder."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.virtual_phone.stream import Stream
from qnn_sd.virtual_phone.threads import Threads

_NAME = re.compile(r"[A-Za-z0-9_.@-]+")
_PIECE = 256 * 1024


class SentMeter:
    """Counts what goes to workers, and acts once past a limit.

    Args:
        limit: bytes; None for no limit.
        act: what happens then.
    """

    def __init__(self, limit: int | None, act: Callable[[], object]) -> None:
        self._left, self._act, self._lock = limit, act, threading.Lock()

    def add(self, count: int) -> None:
        """Some bytes went."""
        with self._lock:
            if self._left is None:
                return
            self._left -= count
            if self._left > 0:
                return
            self._left = None
        self._act()


@dataclass(frozen=True)
class AbstractSockets:
    """The phone's abstract sockets.

    Attributes:
        folder: where the worker's socket files are.
        threads: where data goes back to the host.
        meter: counts what goes to the worker.
    """

    folder: Path
    threads: Threads
    meter: SentMeter

    def connect(self, name: str) -> Callable[[Stream], None] | None:
        """The service that joins a stream to a socket; None if nobody listens there."""
        path = self.folder / name
        if not _NAME.fullmatch(name) or name in (".", "..") or not path.is_socket():
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            return None
        return lambda stream: self._join(stream, connection)

    def _join(self, stream: Stream, connection: socket.socket) -> None:
        def back() -> None:
            with suppress(OSError):
                while data := connection.recv(_PIECE):
                    stream.write(data)
            stream.close()

        with connection:
            returning = self.threads.start("socket", back)
            try:
                while data := stream.read():
                    connection.sendall(data)
                    self.meter.add(len(data))
            finally:
                # As adbd does: the host's end closes both directions.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                returning.join()
