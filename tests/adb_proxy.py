"""A proxy before a real adb server that lists one phone more: one that is gone when it is asked something."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def one_phone_more(port: int, serial: str) -> Iterator[int]:
    """Serves a port in the place of an adb server's.

    Args:
        port: the server's, on loopback.
        serial: of the phone that only the list has.

    Yields:
        The port.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, port, serial), daemon=True).start()
        yield listening.getsockname()[1]


def _accept(listening: socket.socket, port: int, serial: str) -> None:
    with suppress(OSError):  # closed at the end
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_serve, args=(client, port, serial), daemon=True).start()


def _serve(client: socket.socket, port: int, serial: str) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as server, suppress(OSError):
        request = _text(client)
        server.sendall(b"%04x%s" % (len(request), request))
        if request == b"host:devices":
            status = _exactly(server, 4)
            listed = _text(server) + f"{serial}\tdevice\n".encode()
            client.sendall(status + b"%04x%s" % (len(listed), listed))
            return
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _text(stream: socket.socket) -> bytes:
    return _exactly(stream, int(_exactly(stream, 4), 16))


def _exactly(stream: socket.socket, count: int) -> bytes:
    return stream.recv(count, socket.MSG_WAITALL)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
