"""The zip of a published asset: what is in it, and nothing of it anywhere but where it belongs."""

from __future__ import annotations

import errno
import json
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from qnn_sd.errors import IntegrityError
from qnn_sd.in_words import shown

METADATA = "metadata.json"
_BINARY = ".bin"
# Three binaries with what describes them, in one folder.
_MOST_MEMBERS = 64
_MOST_BYTES = 8 << 30
# Quantized weights hardly shrink: what grows this much is no model. The small part around them may.
_MOST_GROWTH, _GROWTH_FREE_BYTES = 8, 64 << 20
# As shutil.make_archive packs; the others' decoders have errors of their own, and unpack far larger still.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOST_NAME_BYTES = 200
_MOST_METADATA_BYTES = 4 << 20
_AGAIN = "Run the command again: it is downloaded anew. If that doesn't help, choose another --release."


class StatedEncoding(BaseModel):
    """How metadata.json says that integers stand for values: ``scale * (integer - zero_point)``."""

    scale: float
    zero_point: int


class StatedTensor(BaseModel):
    """What metadata.json says of an input or output; a link job's has none of it."""

    shape: tuple[int, ...] = ()
    dtype: str = ""
    quantization_parameters: StatedEncoding | None = None


class StatedFile(BaseModel):
    """What metadata.json says of a binary."""

    inputs: dict[str, StatedTensor] = Field(default_factory=dict)
    outputs: dict[str, StatedTensor] = Field(default_factory=dict)


class Metadata(BaseModel):
    """``metadata.json``, as far as it is read; AI Hub Models adds fields between releases.

    Attributes:
        model_id: AI Hub's name of the model; empty where it isn't said.
        precision: such as ``w8a16``.
        tool_versions: by tool, such as ``qairt``.
        model_files: by file name.
    """

    model_id: str = ""
    precision: str = ""
    tool_versions: dict[str, str | None] = Field(default_factory=dict)
    model_files: dict[str, StatedFile] = Field(default_factory=dict)


def unpack(path: Path, folder: Path) -> tuple[dict[str, Path], Metadata]:
    """Unpacks the binaries of a published zip; everything else in it stays there.

    Args:
        path: of the zip.
        folder: existing, empty.

    Returns:
        The binaries by their file names, and what ``metadata.json`` says of them.

    Raises:
        IntegrityError: it is truncated, damaged, leads out of its folder, is far too large, or lacks what it must have.
        OSError: the folder can't be written.
    """
    with _opened(path) as archive:
        members = _members(path, archive)
        metadata = _metadata(path, archive, members)
        binaries = {}
        for name, member in members.items():
            if not name.endswith(_BINARY):
                continue
            binaries[name] = folder / name
            with archive.open(member) as source, binaries[name].open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    if not binaries:
        raise _bad(path, f"holds no context binary: {shown(', '.join(sorted(members)[:5])) or 'nothing'}")
    return binaries, metadata


# All that zipfile raises for what it can't read.
_DAMAGED = (
    zipfile.BadZipFile,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _DAMAGED as error:
        # An offset that leads nowhere is the zip's fault; other failures are the disk's.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise _bad(path, f"is truncated or damaged: {shown(str(error)) or type(error).__name__}") from error


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files in it by their own names: they are in its root, or in one folder."""
    entries = [each for each in archive.infolist() if not each.is_dir()]
    size = sum(each.file_size for each in entries)
    if len(entries) > _MOST_MEMBERS or size > _MOST_BYTES:
        raise _bad(path, f"is no model: it holds {len(entries):,} files, or more than {_MOST_BYTES >> 30} GiB")
    if size > _MOST_GROWTH * path.stat().st_size + _GROWTH_FREE_BYTES:
        raise _bad(path, f"is no model: {path.stat().st_size:,} bytes unpack to {size:,}")
    members: dict[str, zipfile.ZipInfo] = {}
    folded: set[str] = set()
    for each in entries:
        place = PurePosixPath(each.filename)
        if place.is_absolute() or ".." in place.parts or "\\" in each.filename or ":" in each.filename:
            raise _bad(path, f"leads out of its folder: {shown(each.filename)}")
        if stat.S_ISLNK(each.external_attr >> 16):
            raise _bad(path, f"holds a link: {shown(each.filename)}")
        if each.compress_type not in _METHODS:
            raise _bad(path, f"is packed by method {each.compress_type}, not deflated: {shown(each.filename)}")
        if not _is_plain(place):
            raise _bad(path, f"holds a file of an odd name: {shown(each.filename[:_MOST_NAME_BYTES])}")
        # Some file systems take names that differ in their case for one.
        if place.name.casefold() in folded:
            raise _bad(path, f"holds two files named {shown(place.name)}")
        folded.add(place.name.casefold())
        members[place.name] = each
    return members


def _is_plain(place: PurePosixPath) -> bool:
    """Whether a file of this name can be made everywhere, and shown."""
    name = place.name
    has_stem = name.lower() != _BINARY
    return has_stem and name.isprintable() and len(name.encode("utf-8", "replace")) <= _MOST_NAME_BYTES


def _metadata(path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Metadata:
    member = members.get(METADATA)
    if member is None:
        raise _bad(path, f"has no {METADATA}")
    if member.file_size > _MOST_METADATA_BYTES:
        raise _bad(path, f"has a {METADATA} of {member.file_size:,} bytes")
    try:
        content: Any = json.loads(archive.read(member))
        return Metadata.model_validate(content)
    except (ValidationError, RecursionError, UnicodeDecodeError, json.JSONDecodeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise _bad(path, f"has a {METADATA} that can't be read: {shown(first)}") from error


def _bad(path: Path, what: str) -> IntegrityError:
    return IntegrityError(f"{path.name} is not what was published", why=f"It {what}.", hint=_AGAIN)
