"""What a file is that was to be a context binary: downloads are often something else."""

from __future__ import annotations

import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qnn_sd.errors import BinaryError
from qnn_sd.file_beginnings import (
    ARCHIVES,
    GGUF,
    HEAD_BYTES,
    LFS_POINTER,
    PICKLE,
    as_text,
    is_json,
    is_onnx,
    is_web_page,
    known_beginning,
    pointed_bytes,
)
from qnn_sd.in_words import shown

# How context binaries of QAIRT 2.48 to 2.51 begin. Where their two parts' sizes stand was found by looking at them; no
# header says it, so another beginning means nothing.
_MAGIC = bytes.fromhex("00000002000000030000000000000001")
_SIZES = struct.Struct("<QQ")
_SIZES_AT = 24
# Members of a DLC, and of a context binary for several SoCs, which is one with nothing but compiled parts.
_DLC_MEMBER = re.compile(r"dlc\.metadata|model(\.params)?$")
CACHE_MEMBER = re.compile(r"htp\.cache\.(?P<soc>[^.]+)\.\d+")
_ELF_MACHINES = {62: "x86-64 (a desktop)", 164: "Hexagon (a skel)", 183: "aarch64 (a phone)", 40: "32-bit Arm"}
_UNPACK = "Unpack it, then inspect what is in it."
_HINTS = {
    LFS_POINTER: "Fetch the file itself: git lfs pull.",
    GGUF: "Context binaries are QNN's: qnn-sd compile makes them from a checkpoint.",
    ARCHIVES[b"\x28\xb5\x2f\xfd"]: "Unpack it (unzstd), then inspect what is in it.",
    PICKLE: "Compile it: qnn-sd compile --checkpoint FILE.",
    "a TFLite model": "qnn-sd compile makes context binaries from a checkpoint.",
}


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
            head = file.read(HEAD_BYTES)
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
    if is_onnx(path, head):
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


def _refuse_known(path: Path, head: bytes, size: int) -> None:
    if head.startswith(b"\x7fELF"):
        machine = _ELF_MACHINES.get(struct.unpack_from("<H", head, 18)[0] if len(head) >= 20 else 0, "another machine")
        raise _other(path, f"a shared library or program for {machine}", "Give the model's context binary, a .bin.")
    if what := known_beginning(head):
        said = pointed_bytes(head) if what == LFS_POINTER else None
        hint = _HINTS.get(what, _UNPACK if what in ARCHIVES.values() else "Give a context binary.")
        raise _other(path, f"{what} to {said:,} bytes" if said else what, hint)
    if len(head) > 9 and 2 <= struct.unpack_from("<Q", head)[0] < size and head[8:9] == b"{":
        raise _other(path, "a .safetensors checkpoint", "Compile it: qnn-sd compile --checkpoint FILE.")
    text = as_text(head)
    if text is None:
        return
    if is_web_page(text):
        hint = "It was saved from a browser or behind a login: get it from the page's download link."
        raise _other(path, "a web page", hint)
    what = "JSON text" if is_json(text) else "text"
    raise _other(path, f"{what}, which begins {shown(text.strip()[:60])!r}", "Get the context binary itself, a .bin.")
