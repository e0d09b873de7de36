"""The stand-in's HTTP: one address for the interface, one for the files."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from qnn_sd.hub_stand_in.counts import Counts
from qnn_sd.hub_stand_in.faults import FaultBox
from qnn_sd.hub_stand_in.job_runner import LOG_FILE
from qnn_sd.hub_stand_in.refusals import RequestRefused
from qnn_sd.hub_stand_in.routes import Request, Routes
from qnn_sd.hub_stand_in.store import Store
from qnn_sd.hub_stand_in.transfers import Transfers, etag_of, take_file_of_form

_API = "/api/v1/"
_STORAGE = "/storage/"
_CHUNK = 2**20
# No message of the client's is larger; files have addresses of their own.
_MOST_MESSAGE_BYTES = 8 * 2**20
# A part of a model, or a dataset.
_MOST_FILE_BYTES = 10 * 10**9
_SOCKET_SECONDS = 60


class _Lost(Exception):
    """The connection is to be closed without an answer."""


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1 alone.

    Args:
        port: to listen at; 0 for any free one.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.token = ""
        self.routes: Routes
        self.transfers: Transfers
        self.store: Store
        self.faults: FaultBox
        self.counts: Counts

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is nothing to tell of."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout: ClassVar[float] = _SOCKET_SECONDS

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing: the counts have it."""

    def do_GET(self) -> None:
        """Answers a GET."""
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _answer(self) -> None:
        split = urlsplit(self.path)
        self.server.counts.add_request(self.command, split.path)
        try:
            self._refuse_as_told(split.path)
            if split.path.startswith(_API):
                self._interface(split.path, split.query)
            elif split.path.startswith(_STORAGE):
                self._storage(split.path, parse_qs(split.query).get("signature", [""])[0])
            else:
                raise RequestRefused(404, "The stand-in has no pages: qnn-sd hub jobs lists the jobs.")
        except RequestRefused as refusal:
            self._refuse(refusal, is_interface=split.path.startswith(_API))
        except (_Lost, OSError):
            self.close_connection = True
        except Exception as error:
            # A client that got no answer would take it for a bad network.
            self._send(500, f"The stand-in failed: {type(error).__name__}: {error}".encode(), "text/plain")

    def _refuse(self, refusal: RequestRefused, is_interface: bool) -> None:
        """Answers as the service does: in JSON; storage in XML."""
        if is_interface:
            self._send(refusal.status, json.dumps({"detail": refusal.text}).encode(), "application/json")
        else:
            text = f"<Error><Code>{refusal.status}</Code><Message>{refusal.text}</Message></Error>"
            self._send(refusal.status, text.encode(), "application/xml")

    def _refuse_as_told(self, path: str) -> None:
        for fault in self.server.faults.now.statuses:
            if (
                fault.path in path
                and fault.method in ("", self.command)
                and self.server.faults.strikes(fault, fault.times)
            ):
                raise RequestRefused(fault.status, f"The stand-in was told to answer with {fault.status}.")

    def _interface(self, path: str, query: str) -> None:
        faults = self.server.faults.now
        if faults.wrong_token or self.headers.get("Authorization") != f"token {self.server.token}":
            raise RequestRefused(401, "Invalid token.")
        with self._body(_MOST_MESSAGE_BYTES) as body:
            content = body.read_bytes()
        request = Request(self.command, path.removeprefix(_API).strip("/"), parse_qs(query), content)
        answer = self.server.routes.answer(request)
        if (request.method, request.path) == ("POST", "jobs"):
            if self.server.faults.strikes("lost answer", faults.lost_answers):
                raise _Lost
            if self.server.faults.strikes("late error", faults.late_errors):
                raise RequestRefused(504, "Gateway timeout.")
        self._send(200, answer.SerializeToString(), "application/x-protobuf")

    def _storage(self, path: str, signature: str) -> None:
        self.server.transfers.check(path, signature)
        kind, name, *rest = unquote(path.removeprefix(_STORAGE)).split("/")
        match self.command, kind:
            case "PUT", "part":
                self._take_part(name, int(rest[0]))
            case "POST", "form":
                self._take_form(name)
            case "GET", "content":
                self._send_file(self.server.store.content_of(name))
            case "GET", "log":
                self._send_file(self.server.store.files_of(name) / LOG_FILE)
            case _:
                raise RequestRefused(405, "Not allowed.")

    def _take_part(self, name: str, number: int) -> None:
        target = self.server.transfers.part(name, number)
        with self._body(_MOST_FILE_BYTES, may_drop=True) as body:
            shutil.copyfile(body, target)
        etag = {} if self.server.faults.now.no_etag else {"ETag": etag_of(target)}
        self._send(200, b"", "text/plain", etag)

    def _take_form(self, name: str) -> None:
        with self._body(_MOST_FILE_BYTES, may_drop=True) as body:
            take_file_of_form(body, self.headers.get("Content-Type", ""), self.server.store.content_of(name))
        self._send(204, b"", "text/plain")

    @contextmanager
    def _body(self, most: int, may_drop: bool = False) -> Iterator[Path]:
        """The request's body, in a temporary file.

        Args:
            most: bytes that are taken.
            may_drop: whether a fault may cut it off.
        """
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"[0-9]{1,18}", length):
            raise RequestRefused(411, "Content-Length is needed.")
        if int(length) > most:
            self.close_connection = True
            raise RequestRefused(413, "The request is too large.")
        left = int(length)
        is_cut = may_drop and self.server.faults.strikes("upload", self.server.faults.now.dropped_uploads)
        with tempfile.NamedTemporaryFile(dir=self.server.store.folder) as file:
            while left > (int(length) // 2 if is_cut else 0):
                chunk = self.rfile.read(min(left, _CHUNK, int(length) // 2 or 1 if is_cut else _CHUNK))
                if not chunk:
                    raise _Lost
                left -= len(chunk)
                file.write(chunk)
                self.server.counts.add_bytes(len(chunk) if may_drop else 0)
            if is_cut:
                raise _Lost
            file.flush()
            yield Path(file.name)

    def _send_file(self, path: Path) -> None:
        if not path.is_file():
            raise RequestRefused(404, "NoSuchKey")
        size = path.stat().st_size
        start, stop = _range(self.headers.get("Range", ""), size)
        headers = {"Accept-Ranges": "bytes", "ETag": _tag(path), "Content-Length": str(stop - start)}
        if stop - start != size:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        if self.server.faults.strikes("download", self.server.faults.now.dropped_downloads):
            stop = start + (stop - start) // 2
        self.send_response(206 if "Content-Range" in headers else 200)
        for name, value in {"Content-Type": "application/octet-stream", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with path.open("rb") as file:
            file.seek(start)
            while start < stop and (chunk := file.read(min(_CHUNK, stop - start))):
                self.wfile.write(chunk)
                start += len(chunk)

    def _send(self, status: int, content: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        with suppress(OSError):
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", str(self.server.faults.now.retry_after))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


def _tag(path: Path) -> str:
    """That of a whole file, which S3 doesn't make of its content either."""
    found = path.stat()
    return f'"{found.st_size:x}-{found.st_mtime_ns:x}"'


def _range(header: str, size: int) -> tuple[int, int]:
    """The bytes that are asked for: first, and the one behind the last.

    Raises:
        RequestRefused: there are none such (416).
    """
    first, dash, last = header.removeprefix("bytes=").partition("-")
    if not (header.startswith("bytes=") and dash and first.isdecimal() and (not last or last.isdecimal())):
        return 0, size
    if int(first) >= size:
        raise RequestRefused(416, "InvalidRange")
    return int(first), min(int(last) + 1, size) if last else size
