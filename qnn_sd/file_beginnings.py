"""What files begin with: to say what a file is that isn't what it should be. Downloads often are something else."""

from __future__ import annotations

import json
import re
from pathlib import Path

HEAD_BYTES = 4096
LFS_POINTER = "a Git LFS pointer"
ANNEX_POINTER = "a git-annex pointer"
GGUF = "a GGUF model"
PICKLE = "a Python pickle, such as a PyTorch checkpoint"
ARCHIVES = {
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\xfd7zXZ": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"\x04\x22\x4d\x18": "an lz4 archive",
}
IMAGES = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"RIFF": "a RIFF file, such as a WebP image",
}
# What stands for a file, or beside it.
COMPANIONS = {
    b"\x00\x05\x16\x07": "what macOS keeps of a file beside it",
    b"L\0\0\0\x01\x14\x02\0": "a shortcut of Windows",
    b"[InternetShortcut]": "a link to a web page",
}
_OTHERS = {
    b"version https://git-lfs.github.com/spec/": LFS_POINTER,
    b"version https://hawser.github.com/spec/": LFS_POINTER,
    b"/annex/objects/": ANNEX_POINTER,
    b"GGUF": GGUF,
    b"\x89HDF": "an HDF5 file, such as a Keras model",
    b"\x7fELF": "a program or shared library",
    b"%PDF": "a PDF document",
    b"MZ\x90": "a program for Windows",
    b"SQLite format 3": "an SQLite database",
    b"\x93NUMPY": "a NumPy array",
}
# torch's bare ones are of protocol 2.
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
# Wire tags of ONNX's ModelProto that may follow its IR version: producer_name, producer_version, domain, graph, …
_ONNX_FIELDS = frozenset((0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72))


def known_beginning(head: bytes) -> str | None:
    """What a file with a beginning of its own is, in words; None for one without."""
    for beginning, what in {**_OTHERS, **ARCHIVES, **IMAGES, **COMPANIONS}.items():
        if head.startswith(beginning):
            return what
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head.startswith(_PICKLES):
        return PICKLE
    return "a TFLite model" if len(head) > 8 and head[4:8] == b"TFL3" else None


def pointed_bytes(head: bytes) -> int | None:
    """The size of the file that a Git LFS pointer stands for."""
    said = re.search(rb"^size (\d+)\s*$", head, re.M)
    return int(said[1]) if said else None


def is_onnx(path: Path, head: bytes) -> bool:
    """Whether it may be an ONNX model: its first field is the IR version, a small number, and others follow."""
    return path.suffix == ".onnx" or (
        len(head) > 8 and head[0] == 0x08 and 3 <= head[1] <= 32 and head[2] in _ONNX_FIELDS
    )


def as_text(head: bytes) -> str | None:
    """A file's beginning as text; None if it is none."""
    try:
        # A letter may be cut at the end.
        text = head.decode("utf-8-sig", "strict" if len(head) < HEAD_BYTES else "ignore")
    except UnicodeDecodeError:
        return None
    return text if all(letter.isprintable() or letter in "\r\n\t\f" for letter in text) else None


def is_web_page(text: str) -> bool:
    """Whether text is HTML or XML."""
    return bool(re.match(r"\s*<([!?]|[a-z]+[\s>/])", text, re.IGNORECASE))


def is_json(text: str) -> bool:
    """Whether text is JSON, or the beginning of it."""
    try:
        json.loads(text)
    except ValueError:
        return bool(re.match(r'\s*(\{\s*"|\[\s*[\[{"\d-])', text))
    return True
