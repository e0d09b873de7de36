"""Unpacks the libraries of an AAR, a zip file that isn't trusted: names, sizes and links in it are checked."""

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
_CHUNK_BYTES = 1 << 18
# The largest library has 90 MB, an AAR for all HTPs some 70 libraries; machine code compresses 2 to 10 times.
MAX_LIBRARY_BYTES = 1 << 29
MAX_TOTAL_BYTES = 1 << 30
MAX_MEMBERS = 100_000
MAX_COMPRESSION_RATIO = 100
# Of a library whose ratio isn't checked.
_SMALL_BYTES = 1 << 20


def unpack_aar(archive: Path, is_needed: Callable[[str], bool], folder: Path) -> list[str]:
    """Writes the needed libraries of an AAR, those for 64-bit ARM, into a folder.

    Skels, which run on the Hexagon, are taken from any folder of the archive.

    Args:
        archive: the AAR.
        is_needed: whether the library of a name is needed.
        folder: an existing one.

    Returns:
        The names of the written libraries.

    Raises:
        IntegrityError: the archive is damaged or malicious.
        OSError: the folder can't be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _needed_members(opened, archive, is_needed)
            for name, member in members.items():
                _write(opened, member, folder / name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _untrusted(archive, f"It is no valid archive: {error}.") from error
    return sorted(members)


def _needed_members(
    opened: zipfile.ZipFile, archive: Path, is_needed: Callable[[str], bool]
) -> dict[str, zipfile.ZipInfo]:
    entries = opened.infolist()
    if len(entries) > MAX_MEMBERS:
        raise _untrusted(archive, f"It has {len(entries):,} members.")
    found: dict[str, zipfile.ZipInfo] = {}
    # If a skel is there twice, the one beside the other libraries is taken.
    for entry in sorted(entries, key=lambda entry: not _is_in_abi_folder(PurePosixPath(entry.filename))):
        _check_name(entry, archive)
        path = PurePosixPath(entry.filename)
        if not (_is_in_abi_folder(path) or library_names.is_skel(path.name)) or not _LIBRARY.fullmatch(path.name):
            continue
        if is_needed(path.name) and path.name not in found:
            _check_size(entry, archive)
            found[path.name] = entry
    if sum(entry.file_size for entry in found.values()) > MAX_TOTAL_BYTES:
        raise _untrusted(archive, f"Its libraries have more than {MAX_TOTAL_BYTES >> 20:,} MiB.")
    return found


def _is_in_abi_folder(path: PurePosixPath) -> bool:
    """Whether a member is in the AAR's folder of libraries for 64-bit ARM."""
    return path.parent.parts == ("jni", ANDROID_ABI)


def _check_name(entry: zipfile.ZipInfo, archive: Path) -> None:
    name = entry.orig_filename
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name or ":" in name:
        raise _untrusted(archive, f"It names a member {name!r}, which leads out of its folder.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise _untrusted(archive, f"Its member {name!r} is a link.")


def _check_size(entry: zipfile.ZipInfo, archive: Path) -> None:
    name = PurePosixPath(entry.filename).name
    if entry.file_size > MAX_LIBRARY_BYTES:
        raise _untrusted(archive, f"{name} claims {entry.file_size:,} bytes.")
    if entry.file_size > max(_SMALL_BYTES, MAX_COMPRESSION_RATIO * entry.compress_size):
        raise _untrusted(archive, f"{name} grows from {entry.compress_size:,} to {entry.file_size:,} bytes.")


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    # zipfile reads at most the size that the member claims, and then checks its CRC.
    with opened.open(member) as source, target.open("wb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            file.write(chunk)


def _untrusted(archive: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"{archive.name} can't be trusted",
        why=why,
        hint="Fetch it again, or from another repository with --repository.",
    )
