"""Uploads and downloads: signed addresses on loopback, as a cloud's storage gives them."""

from __future__ import annotations

import hashlib
import hmac
import mmap
import shutil
from pathlib import Path
from urllib.parse import quote

from qai_hub import public_api_pb2 as api

from qnn_sd.hub_stand_in.refusals import RequestRefused
from qnn_sd.hub_stand_in.store import Store
from qnn_sd.output_files import written_aside

# AI Hub's client sends a part again as a whole when it is cut off.
PART_BYTES = 64 * 2**20
FILE_FIELD = "file"


class Transfers:
    """The addresses of a stand-in's files, and what comes in at them.

    Args:
        store: that keeps the files.
        url: address of the server.
        part_bytes: the most of an upload in one request.
    """

    def __init__(self, store: Store, url: str, part_bytes: int) -> None:
        self._store, self._url, self._part_bytes = store, url, part_bytes
        self._key = store.secret("signing-key").encode()

    def address(self, *words: str) -> str:
        """The signed address of something: whoever has it needs no token."""
        path = "/".join(("", "storage", *(quote(word, safe="") for word in words)))
        return f"{self._url}{path}?signature={self._signature(path)}"

    def check(self, path: str, signature: str) -> None:
        """Refuses an address that wasn't given out.

        Raises:
            RequestRefused: its signature is another's (403).
        """
        if not hmac.compare_digest(self._signature(path).encode(), signature.encode("utf-8", "replace")):
            raise RequestRefused(403, "SignatureDoesNotMatch")

    def _signature(self, path: str) -> str:
        return hmac.new(self._key, path.encode(), hashlib.sha256).hexdigest()[:32]

    def parts_for(self, model_id: str, size: int) -> api.FileMultipartUploadURL:
        """Where the parts of a model go; the same for the same model and size, so that an upload can go on."""
        count = max(1, -(-size // self._part_bytes))
        return api.FileMultipartUploadURL(
            urls=[self.address("part", model_id, str(number)) for number in range(count)],
            upload_id=f"{model_id}-{size}",
            max_part_size=self._part_bytes,
        )

    def part(self, model_id: str, number: int) -> Path:
        """The file of a part."""
        return self._store.files_of(model_id) / f"part{number:05d}"

    def complete(self, model_id: str, upload: api.FileMultipartUploadComplete) -> None:
        """Puts an upload's parts together.

        Raises:
            RequestRefused: a part is missing, or is another than was sent (400).
        """
        paths = [self.part(model_id, number) for number in range(len(upload.etags))]
        if not upload.upload_id.startswith(f"{model_id}-") or not paths:
            raise RequestRefused(400, "The upload isn't known, or has no parts.")
        for number, (path, etag) in enumerate(zip(paths, upload.etags, strict=True)):
            if not path.is_file() or etag != etag_of(path):
                raise RequestRefused(400, f"Part {number + 1} of the upload is missing or isn't what was sent.")
        if sum(path.stat().st_size for path in paths) != int(upload.upload_id.rpartition("-")[2]):
            raise RequestRefused(400, "The parts of the upload aren't the whole file.")
        with written_aside(self._store.content_of(model_id)) as aside, aside.open("wb") as whole:
            for path in paths:
                with path.open("rb") as part:
                    shutil.copyfileobj(part, whole, 2**20)
        for path in paths:
            path.unlink()


def etag_of(path: Path) -> str:
    """As S3 makes it of a part."""
    with path.open("rb") as file:
        return f'"{hashlib.file_digest(file, "md5").hexdigest()}"'


def take_file_of_form(body: Path, content_type: str, target: Path) -> None:
    """Takes the file out of a form as browsers send it, without reading it into memory.

    Args:
        body: what was sent; its form has one file, which is its last field.
        content_type: header of the request.
        target: the file to write.

    Raises:
        RequestRefused: it is no such form (400).
    """
    _, _, boundary = content_type.partition("boundary=")
    end = f"\r\n--{boundary.strip().strip(chr(34))}".encode()
    if not boundary or body.stat().st_size < len(end):
        raise RequestRefused(400, "No form.")
    with body.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        field = content.find(f'name="{FILE_FIELD}"'.encode())
        start, stop = content.find(b"\r\n\r\n", field) + 4, content.rfind(end)
        if field < 0 or start < 4 or stop < start:
            raise RequestRefused(400, "The form has no file.")
        with written_aside(target) as aside, aside.open("wb") as out:
            for at in range(start, stop, 2**20):
                out.write(content[at : min(at + 2**20, stop)])
