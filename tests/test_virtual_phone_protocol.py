"""adb's protocol itself, spoken by a host that is written out here: what the real adb never does is answered too."""

from __future__ import annotations

import base64
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA1

from qnn_sd.config import load_profile
from qnn_sd.errors import VirtualPhoneError
from qnn_sd.virtual_phone import VirtualPhone

HEADER = struct.Struct("<4sIIIII")
OLD, NEW = 0x01000000, 0x01000001


def android_public_key(key: RSAPrivateKey) -> str:
    """An ``adbkey.pub``, by the definition in android_pubkey.c."""
    numbers = key.public_key().public_numbers()
    modulus = numbers.n
    words = struct.pack("<II", 64, -pow(modulus, -1, 2**32) % 2**32)
    square = pow(2, 2 * 2048, modulus)
    encoded = words + modulus.to_bytes(256, "little") + square.to_bytes(256, "little") + struct.pack("<I", numbers.e)
    return base64.b64encode(encoded).decode() + " me@here\n"


class Host:
    """A host on a raw connection."""

    def __init__(self, phone: VirtualPhone, key: RSAPrivateKey) -> None:
        self.key = key
        self.connection = socket.create_connection(("127.0.0.1", phone.port), timeout=30)

    def send(self, command: bytes, arg0: int = 0, arg1: int = 0, payload: bytes = b"", **wrong: int) -> None:
        magic = int.from_bytes(command, "little") ^ 0xFFFFFFFF
        checksum = wrong.get("checksum", sum(payload))
        length = wrong.get("length", len(payload))
        self.connection.sendall(HEADER.pack(command, arg0, arg1, length, checksum, wrong.get("magic", magic)) + payload)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.connection.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def receive(self) -> tuple[bytes, int, int, bytes, int]:
        """Command, both arguments, payload, checksum."""
        command, arg0, arg1, length, checksum, magic = HEADER.unpack(self.exactly(HEADER.size))
        assert magic == int.from_bytes(command, "little") ^ 0xFFFFFFFF
        return command, arg0, arg1, self.exactly(length), checksum

    def admit(self, version: int = NEW, most: int = 4096) -> tuple[bytes, int, int, bytes, int]:
        """Shakes hands; returns the phone's CNXN."""
        self.send(b"CNXN", version, most, b"host::features=shell_v2\0")
        command, kind, _, token, checksum = self.receive()
        assert (command, kind, len(token), checksum) == (b"AUTH", 1, 20, sum(token))
        self.send(b"AUTH", 2, 0, self.key.sign(token, PKCS1v15(), Prehashed(SHA1())))
        return self.receive()

    def ended(self) -> bool:
        """Whether the phone closed the connection."""
        try:
            return self.connection.recv(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    """The user's key."""
    return generate_private_key(65537, 2048)


@pytest.fixture
def host(key: RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host that is connected, and hasn't said anything."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ADB_VENDOR_KEYS", raising=False)
    (tmp_path / ".android").mkdir()
    (tmp_path / ".android" / "adbkey.pub").write_text(android_public_key(key))
    with VirtualPhone(load_profile("sm8650"), tmp_path / "phone") as phone:
        host = Host(phone, key)
        with host.connection:
            yield host


def test_the_handshake(host: Host) -> None:
    command, version, most, banner, checksum = host.admit()
    assert (command, version, most, checksum) == (b"CNXN", NEW, 1024 * 1024, sum(banner))
    assert banner.startswith(b"device::ro.product.name=qnnsd;ro.product.model=qnn-sd virtual phone;")
    assert b"features=shell_v2," in banner


def test_an_old_host_gets_and_must_send_checksums(host: Host) -> None:
    host.admit(OLD)
    host.send(b"OPEN", 7, 0, b"exec:echo hello\0")
    command, stream, ours, _, _ = host.receive()
    assert (command, ours) == (b"OKAY", 7)
    command, _, _, payload, checksum = host.receive()
    assert (command, payload, checksum) == (b"WRTE", b"hello\n", sum(b"hello\n"))
    host.send(b"OKAY", 7, stream)
    assert host.receive()[0] == b"CLSE"
    host.send(b"OPEN", 8, 0, b"exec:echo hello\0", checksum=1)
    assert host.ended()


def test_a_payload_is_sent_when_the_last_one_was_taken_and_is_never_too_large(host: Host) -> None:
    host.admit(most=1000)
    host.send(b"OPEN", 7, 0, b"exec:head -c 2500\0", checksum=0)
    _, stream, _, _, _ = host.receive()
    host.send(b"WRTE", 7, stream, bytes(2500))
    received, unacknowledged = b"", 0
    while True:
        command, _, ours, payload, _ = host.receive()
        assert ours == 7
        if command == b"CLSE":
            break
        if command == b"WRTE":
            unacknowledged += 1
            assert unacknowledged == 1, "two at a time"
            assert 0 < len(payload) <= 1000
            received += payload
            # What else is said meanwhile is answered, and no second payload comes.
            host.send(b"OPEN", 9, 0, b"nothing:\0")
            assert host.receive()[:3] == (b"CLSE", 0, 9)
            unacknowledged -= 1
            host.send(b"OKAY", 7, stream)
    assert received == bytes(2500)


def test_nothing_is_opened_before_the_key_is_shown(host: Host) -> None:
    host.send(b"OPEN", 7, 0, b"exec:touch /sdcard/here\0")
    host.send(b"CNXN", NEW, 4096, b"host::\0")
    command, _, _, token, _ = host.receive()
    assert command == b"AUTH"
    host.send(b"OPEN", 7, 0, b"exec:touch /sdcard/here\0")
    # A wrong signature, one of another token, and a key: each is no way in.
    host.send(b"AUTH", 2, 0, bytes(256))
    command, _, _, second, _ = host.receive()
    assert command == b"AUTH"
    assert second != token
    host.send(b"AUTH", 2, 0, host.key.sign(token, PKCS1v15(), Prehashed(SHA1())))
    assert host.receive()[0] == b"AUTH"
    host.send(b"AUTH", 3, 0, b"QAAAAA me@here\0")
    assert host.admit()[0] == b"CNXN"
    host.send(b"OPEN", 8, 0, b"exec:ls /sdcard/here 2>&1\0")
    host.receive()
    assert b"No such file" in host.receive()[3]


@pytest.mark.parametrize(
    "wrong", [{"magic": 1}, {"length": 1024 * 1024 + 1}, {"length": 0xFFFFFFFF}], ids=["magic", "long", "longest"]
)
def test_a_broken_header_ends_the_connection(host: Host, wrong: dict[str, int]) -> None:
    host.admit()
    host.send(b"OPEN", 7, 0, b"exec:id\0", **wrong)
    assert host.ended()


def test_what_is_no_adb_is_hung_up_on(host: Host) -> None:
    host.connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert host.ended()


def sync(host: Host, request: bytes) -> bytes:
    """What ``sync:`` answers to a request."""
    host.admit(most=1 << 20)
    host.send(b"OPEN", 7, 0, b"sync:\0")
    _, stream, _, _, _ = host.receive()
    host.send(b"WRTE", 7, stream, request)
    answer = b""
    while True:
        command, _, _, payload, _ = host.receive()
        if command == b"CLSE":
            return answer
        if command == b"WRTE":
            answer += payload
            host.send(b"OKAY", 7, stream)


def text(name: bytes, value: bytes) -> bytes:
    return name + struct.pack("<I", len(value)) + value


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (text(b"NOPE", b"/"), b"unknown command 45504f4e"),
        (b"STAT" + struct.pack("<I", 1025), b"path too long"),
        (text(b"SEND", b"/sdcard/f"), b"missing , in ID_SEND_V1"),
        (text(b"SEND", b"/sdcard/f,mode"), b"bad mode"),
        (text(b"SEND", b"/sdcard/f,33188") + text(b"WHAT", b""), b"invalid data message"),
        (text(b"SEND", b"/sdcard/f,33188") + b"DATA" + struct.pack("<I", 1 << 17), b"invalid data message"),
        (text(b"SND2", b"/sdcard/f") + b"SND2" + struct.pack("<II", 33188, 4), b"unknown flags: 4"),
        (text(b"RCV2", b"/sdcard/f") + b"RCV2" + struct.pack("<I", 1), b"unknown flags: 1"),
        (text(b"RECV", b"/sdcard/f"), b"open failed: No such file or directory"),
        (text(b"RECV", b"/sdcard"), b"read failed: Is a directory"),
        (text(b"RECV", b"/sdcard/\0/etc/passwd"), b"open failed: Invalid argument"),
    ],
)
def test_sync_refuses(host: Host, tmp_path: Path, request_: bytes, reason: bytes) -> None:
    # A DONE ends what adbd reads on after a failed push.
    assert sync(host, request_ + text(b"DONE", b"")) == text(b"FAIL", reason)
    assert list((tmp_path / "phone/files/storage/emulated/0").iterdir()) == []


def test_sync_of_the_first_version(host: Host, tmp_path: Path) -> None:
    """STAT, LIST, SEND and RECV as adbs before 2016 ask for them."""
    times = struct.pack("<I", 1_500_000_000)
    answer = sync(
        host,
        text(b"SEND", b"/sdcard/a,b,33188") + text(b"DATA", b"content") + b"DONE" + times
        + text(b"STAT", b"/sdcard/a,b") + text(b"STAT", b"/nope") + text(b"RECV", b"/sdcard/a,b")
        + text(b"LIST", b"/sdcard/") + text(b"QUIT", b""),
    )  # fmt: skip
    status = struct.pack("<II", 0o100666, 7) + times
    assert answer.startswith(
        text(b"OKAY", b"") + b"STAT" + status + b"STAT" + bytes(12) + text(b"DATA", b"content") + text(b"DONE", b"")
    )
    assert b"DENT" + status + text(b"", b"a,b") in answer
    assert answer.endswith(b"DONE" + bytes(16))
    assert (tmp_path / "phone/files/storage/emulated/0/a,b").stat().st_mtime == 1_500_000_000


@pytest.mark.parametrize("content", ["", "AAAA", "not base64!", base64.b64encode(bytes(524)).decode()])
def test_a_public_key_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".android").mkdir()
    (tmp_path / ".android" / "adbkey.pub").write_text(content)
    with pytest.raises(VirtualPhoneError) as refusal, VirtualPhone(load_profile("sm8650"), tmp_path / "phone"):
        pass
    assert "can't be read as an adb key" in refusal.value.what
