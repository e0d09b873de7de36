"""adb's messages: 24 bytes of header, then the payload (``docs/dev/protocol.md`` of AOSP's packages/modules/adb).

The header is six little-endian unsigned 32-bit words: command, arg0, arg1, length of the payload, its checksum (the sum
of its bytes), and the command with all bits flipped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

CNXN = int.from_bytes(b"CNXN", "little")
AUTH = int.from_bytes(b"AUTH", "little")
OPEN = int.from_bytes(b"OPEN", "little")
OKAY = int.from_bytes(b"OKAY", "little")
WRTE = int.from_bytes(b"WRTE", "little")
CLSE = int.from_bytes(b"CLSE", "little")

# A_VERSION_MIN and A_VERSION_SKIP_CHECKSUM of adb.h: from the second one on, checksums are left out.
VERSION_WITH_CHECKSUMS = 0x01000000
VERSION = 0x01000001
# MAX_PAYLOAD of adb.h, bytes.
MAX_PAYLOAD = 1024 * 1024

AUTH_TOKEN, AUTH_SIGNATURE, AUTH_RSAPUBLICKEY = 1, 2, 3

_HEADER = struct.Struct("<6I")


class ProtocolError(Exception):
    """The host sent something that isn't adb's protocol; the connection ends, as protocol.md demands."""


@dataclass(frozen=True)
class Packet:
    """One message.

    Attributes:
        command: ``CNXN``, ``AUTH``, ``OPEN``, ``OKAY``, ``WRTE`` or ``CLSE``.
        arg0: the sender's id of the stream, for most commands.
        arg1: the receiver's id of it.
        payload: at most ``MAX_PAYLOAD`` bytes.
    """

    command: int
    arg0: int
    arg1: int
    payload: bytes = b""

    def encode(self, checksum: bool) -> bytes:
        """The bytes on the wire."""
        total = sum(self.payload) & 0xFFFFFFFF if checksum else 0
        head = _HEADER.pack(self.command, self.arg0, self.arg1, len(self.payload), total, self.command ^ 0xFFFFFFFF)
        return head + self.payload


def read_packet(source: BinaryIO, version: int) -> Packet | None:
    """Reads the next message; None at the end of the connection.

    Args:
        source: a buffered reader of the connection.
        version: the protocol version that both sides agreed on; CNXN contains its own.

    Raises:
        ProtocolError: an invalid header, length or checksum.
    """
    head = source.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    command, arg0, arg1, length, checksum, magic = _HEADER.unpack(head)
    if command ^ 0xFFFFFFFF != magic or length > MAX_PAYLOAD:
        raise ProtocolError("the header is not adb's")
    payload = source.read(length)
    if len(payload) < length:
        return None
    agreed = arg0 if command == CNXN else version
    if agreed < VERSION and sum(payload) & 0xFFFFFFFF != checksum:
        raise ProtocolError("the checksum is wrong")
    return Packet(command, arg0, arg1, payload)
