"""Libraries out of an AAR, which is a zip file from elsewhere: nothing in it is trusted."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from qnn_sd.errors import IntegrityError
from qnn_sd.runtime_libraries import library_names

ANDROID_ABI = "arm64-v8a"
_LIBRARY = re.compile(r"lib[\w.+-]+\.so", re.ASCII)
_PIECE = 1 << 18
# The largest library has 90 MB, an AAR with all HTPs some 70 libraries; machine code packs 2 to 10 times.
LARGEST_LIBRARY = 1 << 29
LARGEST_TOGETHER = 1 << 30
MOST_MEMBERS = 100_000
HIGHEST_RATIO = 100
_SMALL = 1 << 20


def unpack(archive: Path, wanted: Callable[[str], bool], folder: Path) -> list[str]:
    """Writes an AAR's wanted libraries for 64-bit ARM into a folder, by their bare names.

    Skels, which run on the Hexagon, are taken from wherever the archive has them.

    Args:
        archive: the AAR.
        wanted: whether a library is to be taken.
        folder: an existing one.

    Returns:
        The names written.

    Raises:
        IntegrityError: the archive is damaged, or made to do harm.
        OSError: the folder can't be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive, wanted)
            for name, member in members.items():
                _write(opened, member, folder / name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _refused(archive, f"It is no sound archive: {error}.") from error
    return sorted(members)


def _members(opened: zipfile.ZipFile, archive: Path, wanted: Callable[[str], bool]) -> dict[str, zipfile.ZipInfo]:
    entries = opened.infolist()
    if len(entries) > MOST_MEMBERS:
        raise _refused(archive, f"It has {len(entries):,} members.")
    found: dict[str, zipfile.ZipInfo] = {}
    # Those beside the other libraries come first, should a skel be there twice.
    for entry in sorted(entries, key=lambda entry: not _is_beside(PurePosixPath(entry.filename))):
        _hold_name(entry, archive)
        path = PurePosixPath(entry.filename)
        if not (_is_beside(path) or library_names.is_skel(path.name)) or not _LIBRARY.fullmatch(path.name):
            continue
        if wanted(path.name) and path.name not in found:
            _hold_size(entry, archive)
            found[path.name] = entry
    if sum(entry.file_size for entry in found.values()) > LARGEST_TOGETHER:
        raise _refused(archive, f"Its libraries have more than {LARGEST_TOGETHER >> 20:,} MiB.")
    return found


def _is_beside(path: PurePosixPath) -> bool:
    """Whether a member is where an AAR keeps its libraries for 64-bit ARM."""
    return path.parent.parts == ("jni", ANDROID_ABI)


def _hold_name(entry: zipfile.ZipInfo, archive: Path) -> None:
    name = entry.orig_filename
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name or ":" in name:
        raise _refused(archive, f"It names a member {name!r}, which leads out of its folder.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise _refused(archive, f"Its member {name!r} is a link.")


def _hold_size(entry: zipfile.ZipInfo, archive: Path) -> None:
    name = PurePosixPath(entry.filename).name
    if entry.file_size > LARGEST_LIBRARY:
        raise _refused(archive, f"{name} claims {entry.file_size:,} bytes.")
    if entry.file_size > max(_SMALL, HIGHEST_RATIO * entry.compress_size):
        raise _refused(archive, f"{name} grows from {entry.compress_size:,} to {entry.file_size:,} bytes.")


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    # zipfile reads no more than the size that the member claims, and then holds it to its checksum.
    with opened.open(member) as source, target.open("wb") as file:
        while piece := source.read(_PIECE):
            file.write(piece)


def _refused(archive: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"{archive.name} can't be trusted",
        why=why,
        hint="Fetch it again, or from another repository with --repository.",
    )
