"""The committed worker on a JVM: the same classes that a phone runs, with the desktop's ONNX Runtime."""

from __future__ import annotations

import os
import secrets
import socket
import struct
import subprocess
from pathlib import Path
from types import TracebackType

import pytest

from qnn_sd.config import load_profile
from qnn_sd.runtime_libraries import desktop_jar
from qnn_sd.targets.adb.worker.body import Body
from qnn_sd.targets.adb.worker.client import WorkerClient
from qnn_sd.targets.adb.worker.connection import WorkerConnection, WorkerError
from qnn_sd.targets.adb.worker.protocol import HEADER, PROTOCOL, ErrorCode, Kind
from qnn_sd.virtual_phone import find_java, link_desktop_libraries
from qnn_sd.worker_jars import DESKTOP_JAR

MAIN = "io.github.qnnsd.worker.Main"
FOLDER = Path("data/local/tmp/qnn-sd")
PROFILE = load_profile("sm8650")
# As on a phone: the library's name alone, found through LD_LIBRARY_PATH.
HTP = {
    "backend_path": "libQnnHtp.so",
    "htp_performance_mode": "burst",
    "soc_model": str(PROFILE.soc_model),
    "htp_arch": str(PROFILE.htp_arch),
}
# No process here needs a fraction of it: what takes longer hangs.
HANGS_SECONDS = 120


def hello(token: str, version: int = PROTOCOL) -> bytes:
    """The frame of HELLO."""
    return b"".join(Body().u16(version).string(token).frame(1, Kind.HELLO))


def raw(kind: int, body: bytes, request_id: int = 2, length: int | None = None) -> bytes:
    """A frame of any bytes."""
    return HEADER.pack(len(body) if length is None else length, request_id, kind) + body


def named(text: bytes) -> bytes:
    """A string."""
    return struct.pack("<H", len(text)) + text


def make_phone(root: Path) -> Path:
    """A folder that stands for a phone's /, with the QNN libraries in place; returns the libraries' folder."""
    (root / FOLDER).mkdir(parents=True)
    (root / "sockets").mkdir()
    link_desktop_libraries(root / FOLDER / "libs")
    return root / FOLDER / "libs"


class WorkerProcess:
    """A worker that waits for a host; use as a context manager.

    Args:
        root: made by ``make_phone``.
        protocol: the version that it is asked for.
        token: the first line of its stdin; a fresh one by default.
    """

    def __init__(self, root: Path, protocol: str = str(PROTOCOL), token: str | None = None) -> None:
        self.root, self.token = root, secrets.token_hex(32) if token is None else token
        self.name = f"qnn-sd-{secrets.token_hex(8)}"
        # ONNX Runtime unpacks its libraries there.
        self.temporary = root / "tmp" / self.name
        self.temporary.mkdir(parents=True)
        jars = f"{DESKTOP_JAR}:{desktop_jar()}"
        self.process = subprocess.Popen(
            [find_java(), f"-Djava.io.tmpdir={self.temporary}", "-cp", jars, MAIN, protocol, self.name],
            cwd=root / FOLDER / "libs",
            env={
                **os.environ,
                "QNN_SD_SOCKETS": str(root / "sockets"),
                "QNN_SD_ROOT": str(root),
                "LD_LIBRARY_PATH": ".",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.token}\n".encode())
        self.process.stdin.flush()
        self.first_line = self.process.stdout.readline().decode()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def connect(self) -> socket.socket:
        """A connection to its socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(HANGS_SECONDS)
        connection.connect(str(self.root / "sockets" / self.name))
        return connection

    def client(self) -> WorkerClient:
        """A client that has said hello."""
        client = WorkerClient(self.connect())
        client.hello(self.token)
        return client

    def release(self) -> None:
        """Ends its stdin, as adb does when the host goes."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def ended(self) -> tuple[int, str]:
        """Waits for its end by itself: exit code and what it logged. Nothing of it may be left."""
        code = self.process.wait(HANGS_SECONDS)
        assert self.process.stderr is not None
        log = self.process.stderr.read().decode()
        assert not list((self.root / "sockets").glob(self.name))
        # ONNX Runtime takes its libraries away and leaves their folder.
        assert not [path for path in self.temporary.rglob("*") if path.is_file()]
        return code, log


def assert_frame_refused(
    worker: WorkerProcess, connection: socket.socket, replies: WorkerConnection, reason: str
) -> None:
    """The reply to what was sent last is a refusal with that reason, and the worker ends with it."""
    with pytest.raises(WorkerError) as caught:
        replies.reply(10_000)
    assert caught.value.code == ErrorCode.REFUSED_FRAME
    assert reason in caught.value.why
    assert connection.recv(1) == b"", "the connection is closed"
    code, log = worker.ended()
    assert code == 76
    assert reason in log
