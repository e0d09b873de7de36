"""The real adb, with a server, a home and a key of its own."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbutils
import pytest
from conftest import Cli

from qnn_sd.config import load_profile
from qnn_sd.health_checks import adb_path
from qnn_sd.virtual_phone import VirtualPhone

TMP = "/data/local/tmp"
# No answer of adb here takes a fraction of it: what takes longer hangs.
HANGS_SECONDS = 60
FIVE_MB = 5_000_000


def noise(count: int) -> bytes:
    """Bytes that no compression helps with, the same each time."""
    return random.Random(20).randbytes(count)


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class AdbHost:
    """One user's adb.

    Args:
        home: the user's home; the key is made there.
    """

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        program = adb_path()
        assert program is not None
        self._program = str(program)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ADB_", "ANDROID_"))},
            "HOME": str(home),
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            # No device but those that a test connects: not what else listens on this machine.
            "ADB_LOCAL_TRANSPORT_MAX_PORT": "0",
            "ADB_MDNS_AUTO_CONNECT": "0",
        }
        self("start-server")

    @property
    def client(self) -> adbutils.AdbClient:
        """adbutils' client of the same server."""
        return adbutils.AdbClient(host="127.0.0.1", port=self.port, socket_timeout=HANGS_SECONDS)

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [self._program, *arguments]

    def bytes(self, *arguments: str, stdin: bytes = b"", check: bool = False) -> subprocess.CompletedProcess[bytes]:
        """Runs adb; what it prints comes as bytes."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=HANGS_SECONDS,
            check=check,
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """stdout of an adb command that must succeed."""
        done = self.bytes(*arguments, stdin=stdin.encode())
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout.decode()

    def fails(self, *arguments: str) -> str:
        """What an adb command says that must fail."""
        done = self.bytes(*arguments)
        assert done.returncode != 0, (arguments, done.stdout, done.stderr)
        return (done.stdout + done.stderr).decode()

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """An adb command that goes on beside the test."""
        return subprocess.Popen(self.command(*arguments), env=self.environment, **options)

    def close(self) -> None:
        """Ends the server."""
        self("kill-server")
        shutil.rmtree(self.home, ignore_errors=True)


def user(cli: Cli, adb: AdbHost) -> Cli:
    """The command as the user of ``adb`` runs it."""
    cli.environment.update({name: value for name, value in adb.environment.items() if name.startswith(("HOME", "A"))})
    return cli


class PhoneOnAdb:
    """A virtual phone that an adb server knows; its methods run adb for this phone alone.

    Args:
        adb: the user's adb.
        phone: a started one.
        said: what it tells its owner, as it grows.
    """

    def __init__(self, adb: AdbHost, phone: VirtualPhone, said: list[str]) -> None:
        self._adb, self.phone, self.said = adb, phone, said
        self.address, self.root, self.tmp = phone.address, phone.files.root, phone.files.root / TMP[1:]

    @property
    def device(self) -> adbutils.AdbDevice:
        """As adbutils has it."""
        return self._adb.client.device(self.address)

    def adb(self, *arguments: str) -> str:
        """stdout of an adb command that must succeed."""
        return self._adb("-s", self.address, *arguments)

    def shell(self, script: str) -> str:
        """stdout of a script that must succeed."""
        return self.adb("shell", script)

    def workers(self) -> list[str]:
        """Ids of the workers that run on it."""
        return self.shell("pidof app_process || true").split()

    def no_worker_is_left(self) -> bool:
        """Whether none runs, when one that was told to end has had its time to free what it holds."""
        return any(not self.workers() for _attempt in range(200))

    def fails(self, *arguments: str) -> str:
        """What an adb command says that must fail."""
        return self._adb.fails("-s", self.address, *arguments)

    def bytes(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Runs adb; what it prints comes as bytes."""
        return self._adb.bytes("-s", self.address, *arguments, **options)


@contextmanager
def started(
    adb: AdbHost, root: Path, soc: str = "sm8650", connect: bool = True, **options: Any
) -> Iterator[PhoneOnAdb]:
    """A phone of the user of ``adb`` while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(adb.home))
        patch.delenv("ADB_VENDOR_KEYS", raising=False)
        said: list[str] = []
        with VirtualPhone(load_profile(soc), root, say=said.append, **options) as phone:
            if connect:
                assert "connected to" in adb("connect", phone.address)
            try:
                yield PhoneOnAdb(adb, phone, said)
            finally:
                # A test that fails leaves no phone to the next one.
                adb.bytes("disconnect", phone.address)


@contextmanager
def answering(path: Path) -> Iterator[None]:
    """A socket that sends back what it gets, upper-cased."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data.upper())

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def exchange(connection: socket.socket, data: bytes) -> bytes:
    """What comes back for data that is sent while the answer is read."""
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    back = bytearray()
    while len(back) < len(data):
        piece = connection.recv(1 << 16)
        assert piece
        back += piece
    sender.join()
    return bytes(back)
