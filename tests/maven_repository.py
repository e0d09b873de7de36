"""A Maven repository on loopback that notes what is asked of it, and AARs to put into it."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlparse

import numpy as np

PLUGIN = "libonnxruntime_providers_qnn.so"
ARCHS = (73, 75)


def library(name: str, size: int = 20_000) -> bytes:
    """Bytes that stand for a library: random, and other ones for each name."""
    return np.random.default_rng(list(name.encode())).bytes(size)


def aar(members: Mapping[str, bytes]) -> bytes:
    """An AAR with some members, and what every AAR has beside its libraries."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("AndroidManifest.xml", "<manifest/>")
        archive.writestr("classes.jar", b"PK")
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


def jni(*names: str) -> dict[str, bytes]:
    """Libraries where an AAR has them for 64-bit ARM, and for a phone's other ABI."""
    arm64 = {f"jni/arm64-v8a/{name}": library(name) for name in names}
    return arm64 | {f"jni/armeabi-v7a/{name}": b"32 bit" for name in names}


def coordinate_path(coordinate: str, packaging: str = "aar") -> str:
    group, artifact, version = coordinate.split(":")
    return f"/maven2/{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.{packaging}"


class Repository:
    """What the server serves, and what it was asked.

    Attributes:
        files: by path; a file gets no checksum beside it unless ``checksums`` says so.
        checksums: algorithms of the checksum files.
        cut_after: bytes of an answer's body after which the connection is closed, or None.
        resumes: whether the server knows Range.
        holding: path of a file of which one half comes, and the connection is kept until ``go_on``.
        asked: path and Range header of each GET, in order.
        hosts: the host in the request line, where a proxy is asked.
    """

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.checksums: tuple[str, ...] = ("sha1",)
        self.cut_after: int | None = None
        self.resumes = True
        self.holding = ""
        self.go_on = threading.Event()
        self.asked: list[tuple[str, str | None]] = []
        self.hosts: list[str] = []

    def publish(self, coordinate: str, content: bytes) -> str:
        """Adds an artifact; returns its path."""
        path = coordinate_path(coordinate)
        self.files[path] = content
        return path

    def asked_for(self, path: str) -> list[str | None]:
        """The Range header of each request for a file."""
        return [span for asked, span in self.asked if asked == path]

    def body(self, path: str) -> bytes | None:
        if path in self.files:
            return self.files[path]
        file, _, algorithm = path.rpartition(".")
        if algorithm in self.checksums and file in self.files:
            return f"{hashlib.new(algorithm, self.files[file]).hexdigest()}  {file}\n".encode()
        return None


class _Handler(BaseHTTPRequestHandler):
    repository: Repository

    def do_GET(self) -> None:
        asked, span = urlparse(self.path), self.headers.get("Range")
        self.repository.asked.append((asked.path, span))
        if asked.hostname:
            self.repository.hosts.append(asked.hostname)
        body = self.repository.body(asked.path)
        if body is None:
            self.send_error(404)
            return
        match = re.fullmatch(r"bytes=(\d+)-", span or "") if self.repository.resumes else None
        start = int(match[1]) if match else 0
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.end_headers()
            return
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if asked.path == self.repository.holding:
            self.wfile.write(body[start : len(body) // 2])
            self.wfile.flush()
            self.repository.go_on.wait()
            return
        cut = self.repository.cut_after
        self.wfile.write(body[start:] if cut is None else body[start : start + cut])

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def serve() -> Iterator[Repository]:
    """A repository with the artifacts of QAIRT 2.50."""
    repository = Repository()
    stubs = [f"libQnnHtpV{arch}{half}.so" for arch in ARCHS for half in ("Stub", "Skel")]
    qnn = ("libQnnHtp.so", "libQnnSystem.so", "libQnnHtpPrepare.so", "libcdsprpc.so", "libQnnGpu.so", *stubs)
    repository.publish("com.qualcomm.qti:qnn-runtime:2.50.0", aar(jni(*qnn)))
    repository.publish("com.qualcomm.qti:onnxruntime-android-qnn:2.6.0", aar(jni(PLUGIN)))
    core = aar(jni("libonnxruntime.so", "libonnxruntime4j_jni.so"))
    repository.publish("com.microsoft.onnxruntime:onnxruntime-android:1.27.0", core)
    handler = type("Handler", (_Handler,), {"repository": repository})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    repository.url = f"http://127.0.0.1:{server.server_port}/maven2"
    try:
        yield repository
    finally:
        repository.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
