"""What a file is that was to be a context binary: downloads are often something else."""

from __future__ import annotations

import json
import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qnn_sd.errors import BinaryError
from qnn_sd.in_words import shown

_HEAD_BYTES = 4096
# How context binaries of QAIRT 2.48 to 2.51 begin. Where their two parts' sizes stand was found by looking at them; no
# header says it, so another beginning means nothing.
_MAGIC = bytes.fromhex("00000002000000030000000000000001")
_SIZES = struct.Struct("<QQ")
_SIZES_AT = 24
# Members of a DLC, and of a context binary for several SoCs, which is one with nothing but compiled parts.
_DLC_MEMBER = re.compile(r"dlc\.metadata|model(\.params)?$")
CACHE_MEMBER = re.compile(r"htp\.cache\.(?P<soc>[^.]+)\.\d+")
_ELF_MACHINES = {62: "x86-64 (a desktop)", 164: "Hexagon (a skel)", 183: "aarch64 (a phone)", 40: "32-bit Arm"}
_BEGINNINGS = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer", "Fetch the file itself: git lfs pull."),
    (b"GGUF", "a GGUF model", "Context binaries are QNN's: qnn-sd compile makes them from a checkpoint."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it, then inspect what is in it."),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it, then inspect what is in it."),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it (unzstd), then inspect what is in it."),
    (b"\xfd7zXZ", "an xz archive", "Unpack it, then inspect what is in it."),
    (b"\x89PNG", "a PNG image", "Give a context binary."),
    (b"\x80\x02", "a Python pickle, such as a PyTorch checkpoint", "Compile it: qnn-sd compile --checkpoint FILE."),
)


@dataclass(frozen=True)
class Stored:
    """A context binary in a file.

    Attributes:
        start: where it begins, in bytes.
        size: its bytes.
        label: what tells it from others in the file; empty where it is the only one.
    """

    start: int
    size: int
    label: str = ""


@dataclass(frozen=True)
class FileKind:
    """What a file is.

    Attributes:
        name: of the kind: ``context binary``, ``EPContext model``, ``several context binaries``.
        stored: the binaries in it; empty for an EPContext model, which refers to them.
        is_certain: whether the file begins as one; else QNN's library decides.
    """

    name: Literal["context binary", "EPContext model", "several context binaries"]
    stored: tuple[Stored, ...] = ()
    is_certain: bool = True


def file_kind(path: Path) -> FileKind:
    """What a file is, if it is or refers to a context binary.

    Raises:
        BinaryError: it is something else, which the message names, or its end is missing.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise BinaryError(
            f"{path} can't be read", why=error.strerror or str(error), hint="Check its name and its rights."
        ) from error
    if size == 0:
        raise _other(path, "empty", "The download or the copy failed: get it again.")
    if head.startswith(_MAGIC) and size >= _SIZES_AT + _SIZES.size:
        _refuse_other_length(path, sum(_SIZES.unpack_from(head, _SIZES_AT)), size)
        return FileKind("context binary", (Stored(0, size),))
    if head.startswith(b"PK"):
        return _zipped(path)
    if _is_onnx(path, head):
        return FileKind("EPContext model")
    _refuse_known(path, head, size)
    return FileKind("context binary", (Stored(0, size),), is_certain=False)


def _refuse_other_length(path: Path, said: int, size: int) -> None:
    if size < said:
        raise BinaryError(
            f"{path} is truncated",
            why=f"It has {size:,} of the {said:,} bytes that its header says.",
            hint="Get it again, or copy it again: the transfer ended early.",
        )
    if size > said:
        raise BinaryError(
            f"{path} is damaged",
            why=f"It has {size:,} bytes where its header says {said:,}: something was added at its end.",
            hint="Get it again, with a program that changes nothing.",
        )


def _other(path: Path, what: str, hint: str) -> BinaryError:
    error = BinaryError(f"{path} is no context binary", why=f"It is {what}.", hint=hint)
    error.is_other = True
    return error


# The compiler knows some 110.
_MOST_SOCS = 128


def _zipped(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BinaryError(
            f"{path} is truncated or damaged",
            why=f"It begins as a zip archive, and its table of contents can't be read: {shown(error)}.",
            hint="Get it again.",
        ) from error
    names = [each.filename for each in members]
    caches = [each for each in members if CACHE_MEMBER.fullmatch(each.filename)]
    if len(caches) > _MOST_SOCS:
        raise BinaryError(
            f"{path} claims to hold binaries for {len(caches):,} SoCs",
            why=f"No compiler writes more than {_MOST_SOCS} into a file.",
            hint="Get it again.",
        )
    if caches:
        return FileKind("several context binaries", tuple(_stored(path, each) for each in caches))
    unpack = "Unpack it, then inspect the folder."
    if any(map(_DLC_MEMBER.match, names)):
        hint = "Compile it for a SoC first (qnn-net-run or snpe-dlc-graph-prepare), or inspect the context binary."
        raise _other(path, "a DLC, a model that isn't compiled for any SoC", hint)
    if any(name.endswith("data.pkl") for name in names):
        raise _other(path, "a PyTorch checkpoint", "Compile it: qnn-sd compile --checkpoint FILE.")
    if any(Path(name).name == "bundle.json" for name in names):
        raise _other(path, "a zipped bundle", unpack)
    binaries = [name for name in names if name.endswith((".bin", ".onnx", ".dlc"))]
    if binaries:
        raise _other(path, f"a zip archive with {shown(', '.join(binaries[:3]))}", unpack)
    raise _other(path, f"a zip archive with {shown(', '.join(names[:3])) or 'nothing in it'}", "Give a context binary.")


def _stored(path: Path, member: zipfile.ZipInfo) -> Stored:
    """By the local header: these archives have no checksums, so zipfile refuses to read them."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        head = file.read(30)
    name, extra = struct.unpack_from("<HH", head, 26) if len(head) == 30 else (0, 0)
    if member.compress_type != zipfile.ZIP_STORED:
        raise BinaryError(
            f"{path} was compressed again",
            why=f"{shown(member.filename)} in it is deflated.",
            hint="Get the file itself.",
        )
    if head[:4] != b"PK\x03\x04":
        raise BinaryError(
            f"{path} is damaged", why=f"{shown(member.filename)} in it can't be found.", hint="Get it again."
        )
    return Stored(member.header_offset + 30 + name + extra, member.file_size, member.filename)


def _is_onnx(path: Path, head: bytes) -> bool:
    """Whether it may be an ONNX model: its first field is the IR version, a small number, and others follow."""
    return path.suffix == ".onnx" or (len(head) > 8 and head[0] == 0x08 and 3 <= head[1] <= 32 and head[2] in _FIELDS)


# Wire tags of ModelProto's fields that may follow: producer_name, producer_version, domain, graph, opset_import, …
_FIELDS = frozenset((0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72))


def _refuse_known(path: Path, head: bytes, size: int) -> None:
    for beginning, what, hint in _BEGINNINGS:
        if head.startswith(beginning):
            said = re.search(rb"^size (\d+)$", head, re.M) if "LFS" in what else None
            raise _other(path, f"{what} to {int(said[1]):,} bytes" if said else what, hint)
    if head.startswith(b"\x7fELF"):
        machine = _ELF_MACHINES.get(struct.unpack_from("<H", head, 18)[0] if len(head) >= 20 else 0, "another machine")
        raise _other(path, f"a shared library or program for {machine}", "Give the model's context binary, a .bin.")
    if len(head) > 8 and head[4:8] == b"TFL3":
        raise _other(path, "a TFLite model", "qnn-sd compile makes context binaries from a checkpoint.")
    if len(head) > 9 and 2 <= struct.unpack_from("<Q", head)[0] < size and head[8:9] == b"{":
        raise _other(path, "a .safetensors checkpoint", "Compile it: qnn-sd compile --checkpoint FILE.")
    text = _text(head)
    if text is None:
        return
    if re.match(r"\s*(<!doctype html|<html|<\?xml)", text, re.I):
        hint = "It was saved from a browser or behind a login: get it from the page's download link."
        raise _other(path, "a web page", hint)
    what = "JSON text" if _is_json(text) else "text"
    raise _other(path, f"{what}, which begins {shown(text.strip()[:60])!r}", "Get the context binary itself, a .bin.")


def _text(head: bytes) -> str | None:
    try:
        # A letter may be cut at the end.
        text = head.decode("utf-8", "strict" if len(head) < _HEAD_BYTES else "ignore")
    except UnicodeDecodeError:
        return None
    return text if all(letter.isprintable() or letter in "\r\n\t\f" for letter in text) else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return text.lstrip().startswith(("{", "["))
    return True
