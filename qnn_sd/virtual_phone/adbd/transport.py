"""One connection from an adb server: the handshake, then any number of streams at a time."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from qnn_sd.virtual_phone.adbd import packets
from qnn_sd.virtual_phone.adbd.auth_keys import TOKEN_BYTES, is_signed_by_any
from qnn_sd.virtual_phone.adbd.packets import Packet, ProtocolError, read_packet
from qnn_sd.virtual_phone.adbd.stream import Stream
from qnn_sd.virtual_phone.thread_group import ThreadGroup

Service = Callable[[Stream], None]


class Transport:
    """adbd's side of one connection.

    Args:
        connection: the connected socket; closed at the end.
        banner: what CNXN says of the phone.
        keys: public keys that are accepted.
        find_service: gives the service of a name, or None if there is no such service.
        threads: where the services run.
        answers: False for a phone that never answers (adb calls it offline).
    """

    def __init__(
        self,
        connection: socket.socket,
        banner: bytes,
        keys: Sequence[RSAPublicKey],
        find_service: Callable[[str], Service | None],
        threads: ThreadGroup,
        answers: bool = True,
    ) -> None:
        self._connection, self._banner, self._keys = connection, banner, keys
        self._find_service, self._threads, self._answers = find_service, threads, answers
        self._version, self._max_payload = packets.VERSION_WITH_CHECKSUMS, packets.MAX_PAYLOAD
        self._token = b""
        self._authorized = False
        self._streams: dict[int, Stream] = {}
        self._last_id = 0
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()

    def serve(self) -> None:
        """Serves the connection until it ends; all its streams end with it."""
        try:
            with self._connection.makefile("rb") as source:
                while packet := read_packet(source, self._version):
                    if self._answers:
                        self._handle(packet)
        except (OSError, ProtocolError):
            pass  # unplugged, or the host doesn't speak adb's protocol: the connection is over
        finally:
            self.drop()
            self._connection.close()
            self._end_streams()

    def drop(self) -> None:
        """Ends the connection; ``serve`` returns."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _send(self, packet: Packet) -> None:
        # The handshake's packets have checksums: the host may not know our version yet.
        checksum = packet.command in (packets.CNXN, packets.AUTH) or self._version < packets.VERSION
        data = packet.encode(checksum)
        # If the connection is gone, its streams end as well, and their next write raises.
        with self._send_lock, suppress(OSError):
            self._connection.sendall(data)

    def _handle(self, packet: Packet) -> None:
        if packet.command == packets.CNXN:
            self._connect(packet)
        elif packet.command == packets.AUTH:
            self._authenticate(packet)
        elif self._authorized:
            self._handle_stream(packet)
        # Everything else is dropped before the handshake, as adbd does.

    def _connect(self, packet: Packet) -> None:
        self._authorized = False
        self._end_streams()
        self._version = min(packet.arg0, packets.VERSION)
        self._max_payload = min(packet.arg1, packets.MAX_PAYLOAD)
        if self._max_payload == 0:
            raise ProtocolError("the host accepts no payload")
        self._ask_for_signature()

    def _ask_for_signature(self) -> None:
        self._token = secrets.token_bytes(TOKEN_BYTES)
        self._send(Packet(packets.AUTH, packets.AUTH_TOKEN, 0, self._token))

    def _authenticate(self, packet: Packet) -> None:
        # AUTH_RSAPUBLICKEY would open a dialog on a phone. Nobody answers it here: the host stays unauthorized.
        if packet.arg0 != packets.AUTH_SIGNATURE or not self._token:
            return
        if not is_signed_by_any(self._keys, self._token, packet.payload):
            self._ask_for_signature()
            return
        self._token, self._authorized = b"", True
        self._send(Packet(packets.CNXN, packets.VERSION, packets.MAX_PAYLOAD, self._banner))

    def _handle_stream(self, packet: Packet) -> None:
        if packet.command == packets.OPEN:
            self._open(packet)
            return
        with self._lock:
            stream = self._streams.get(packet.arg1)
        if stream is None:
            if packet.command == packets.WRTE:
                self._send(Packet(packets.CLSE, 0, packet.arg0))
        elif packet.command == packets.WRTE:
            stream.deliver(packet.payload)
        elif packet.command == packets.OKAY:
            stream.acknowledged()
        elif packet.command == packets.CLSE:
            stream.end()

    def _open(self, packet: Packet) -> None:
        name = packet.payload.rstrip(b"\0").decode("utf-8", "surrogateescape")
        service = self._find_service(name)
        if service is None or packet.arg0 == 0:
            self._send(Packet(packets.CLSE, 0, packet.arg0))
            return
        with self._lock:
            self._last_id += 1
            stream = Stream(self._send, self._last_id, packet.arg0, self._max_payload)
            self._streams[stream.local] = stream
        stream.accept()
        self._threads.start(f"adb {name[:40]}", lambda: self._run(service, stream))

    def _run(self, service: Service, stream: Stream) -> None:
        try:
            # That the host closed its end is no failure of the service.
            with suppress(OSError):
                service(stream)
        finally:
            stream.close()
            with self._lock:
                self._streams.pop(stream.local, None)

    def _end_streams(self) -> None:
        with self._lock:
            streams = list(self._streams.values())
            self._streams.clear()
        for stream in streams:
            stream.end()
