"""``localabstract:NAME`` (AOSP's ``docs/dev/services.md``): a phone's abstract sockets, as socket files in a folder."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.virtual_phone.adbd.stream import Stream
from qnn_sd.virtual_phone.moments import Plan, RequestCounter
from qnn_sd.virtual_phone.thread_group import ThreadGroup

_NAME = re.compile(r"[A-Za-z0-9_.@-]+")
_CHUNK_BYTES = 256 * 1024


class ByteLimit:
    """Counts bytes, and calls a function once when a limit is reached.

    Args:
        limit: bytes; None for no limit.
        action: called at the limit.
    """

    def __init__(self, limit: int | None, action: Callable[[], object]) -> None:
        self._remaining, self._action, self._lock = limit, action, threading.Lock()

    def add(self, count: int) -> None:
        """Counts some bytes."""
        with self._lock:
            if self._remaining is None:
                return
            self._remaining -= count
            if self._remaining > 0:
                return
            self._remaining = None
        self._action()


@dataclass(frozen=True)
class SocketService:
    """Connects streams of the host to the phone's abstract sockets.

    Attributes:
        folder: the folder of the workers' socket files.
        threads: where data is sent back to the host.
        sent: counts what is sent to the workers.
        plan: counts their requests.
    """

    folder: Path
    threads: ThreadGroup
    sent: ByteLimit
    plan: Plan

    def connect(self, name: str) -> Callable[[Stream], None] | None:
        """The service that connects a stream to a socket; None if nobody listens there."""
        path = self.folder / name
        if not _NAME.fullmatch(name) or name in (".", "..") or not path.is_socket():
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            return None
        return lambda stream: self._forward(stream, connection)

    def _forward(self, stream: Stream, connection: socket.socket) -> None:
        def send_back() -> None:
            with suppress(OSError):
                while data := connection.recv(_CHUNK_BYTES):
                    stream.write(data)
            stream.close()

        with connection:
            sender = self.threads.start("socket", send_back)
            requests = RequestCounter(self.plan)
            try:
                while data := stream.read():
                    connection.sendall(data)
                    self.sent.add(len(data))
                    requests.pass_by(data)
            finally:
                # As adbd does: when the host closes the stream, both directions end.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                sender.join()
