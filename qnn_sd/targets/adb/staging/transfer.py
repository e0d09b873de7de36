"""Sends the files that a phone lacks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.console import Console, Transfer
from qnn_sd.errors import StagingError
from qnn_sd.targets.adb.client import Phone, free_bytes
from qnn_sd.targets.adb.staging.complete_sets import (
    are_complete,
    hashes_on_phone,
    mark_complete,
    mark_used,
    missing_files,
)
from qnn_sd.targets.adb.staging.file_set import PARTIAL_SUFFIX, FileSet
from qnn_sd.targets.adb.staging.piece_assembler import PieceAssembler
from qnn_sd.targets.adb.staging.staging_errors import require_success

_CHUNK_BYTES = 1 << 20
# A disconnection loses the pieces that are on their way.
PIECE_BYTES = 16 << 20
# Free space that stays on the phone: Android needs some, and warns and stops apps when it has less.
MIN_FREE_BYTES = 256 << 20


@dataclass
class StagingResult:
    """What staging sent.

    Attributes:
        sent_bytes: sent over the cable.
        kept_bytes: found on the phone, in complete files and in parts that were continued.
    """

    sent_bytes: int = 0
    kept_bytes: int = 0


def stage(phone: Phone, sets: Sequence[FileSet], console: Console) -> StagingResult:
    """Brings sets of files onto a phone.

    Args:
        phone: which one.
        sets: the files that it needs.
        console: shows the transfer.

    Raises:
        StagingError: there is too little free space, or the phone can't write; the next run resumes.
        DeviceError: the connection was lost; the next run resumes.
    """
    result = StagingResult()
    incomplete: list[tuple[FileSet, list[str]]] = []
    for files, complete in zip(sets, are_complete(phone, sets), strict=True):
        missing = [] if complete else missing_files(phone, files)
        result.kept_bytes += sum(files.size(name) for name in files.files if name not in missing)
        if not complete:
            incomplete.append((files, missing))
    if any(missing for _, missing in incomplete):
        _send_missing(phone, incomplete, result, console)
    for files, _ in incomplete:
        mark_complete(phone, files)
    mark_used(phone, sets)
    return result


def _send_missing(
    phone: Phone, incomplete: Sequence[tuple[FileSet, list[str]]], result: StagingResult, console: Console
) -> None:
    needed = sum(files.size(name) for files, missing in incomplete for name in missing)
    _require_free_space(phone, needed)
    console.kept.staged_on = phone.serial
    parts = _prepare_folders(phone, [files for files, _ in incomplete])
    with console.transfer(f"staging on {phone.serial}", needed) as transfer, PieceAssembler(phone) as assembler:
        for files, missing in incomplete:
            for name in missing:
                start = _resumable_bytes(phone, files, name, parts)
                transfer.advance(start)
                result.kept_bytes += start
                _send_file(files, name, start, assembler, transfer)
                result.sent_bytes += files.size(name) - start


def _require_free_space(phone: Phone, needed: int) -> None:
    free = free_bytes(phone)
    if needed + MIN_FREE_BYTES > free:
        raise StagingError(
            f"{phone.serial} has too little free space",
            why=f"{needed / 1e6:,.0f} MB are to be staged, {free / 1e6:,.0f} MB are free, "
            f"and {MIN_FREE_BYTES / 1e6:,.0f} MB stay free for Android.",
            hint="Delete something on the phone, or what older versions staged: qnn-sd unstage.",
        )


def _prepare_folders(phone: Phone, sets: Sequence[FileSet]) -> dict[str, int]:
    """Creates the folders; returns the size of each part that an interrupted run left, by its path."""
    folders = [files.folder for files in sets]
    pieces = " ".join(f"{folder}/*{PARTIAL_SUFFIX}.*" for folder in folders)
    require_success(phone, phone.shell(f"mkdir -p {' '.join(folders)} && rm -f {pieces}"), "create a folder")
    # For a folder without parts, stat fails on the pattern.
    listing = phone.shell("stat -c '%s %n' " + " ".join(f"{folder}/*{PARTIAL_SUFFIX}" for folder in folders)).text
    pairs = (line.split(" ", 1) for line in listing.splitlines())
    return {path: int(size) for size, path in pairs}


def _resumable_bytes(phone: Phone, files: FileSet, name: str, parts: Mapping[str, int]) -> int:
    """The size of the part of a file that an interrupted run left, if its hash is right; else 0."""
    part = f"{name}{PARTIAL_SUFFIX}"
    length = parts.get(f"{files.folder}/{part}", 0)
    if not 0 < length <= files.size(name):
        return 0
    digest = hashlib.sha256()
    for chunk in read_chunks(files.files[name], 0, length):
        digest.update(chunk)
    return length if hashes_on_phone(phone, files.folder, [part]).get(part) == digest.hexdigest() else 0


def _send_file(files: FileSet, name: str, start: int, assembler: PieceAssembler, transfer: Transfer) -> None:
    """Sends a file from a byte on. Its last pieces may still be on their way when this returns."""
    path, target, size = files.files[name], f"{files.folder}/{name}", files.size(name)

    def counted_chunks(position: int) -> Iterator[memoryview]:
        for chunk in read_chunks(path, position, min(PIECE_BYTES, size - position)):
            yield chunk
            transfer.advance(len(chunk))

    assembler.begin(target, start)
    for position in range(start, size, PIECE_BYTES):
        assembler.send(target, counted_chunks(position))
    assembler.end(target, files.hashes[name])


def read_chunks(path: Path, start: int, length: int) -> Iterator[memoryview]:
    """Reads a range of a file in chunks; each is valid until the next one is read.

    Args:
        path: the file.
        start: first byte.
        length: bytes.

    Raises:
        StagingError: the file ends before.
    """
    buffer = memoryview(bytearray(min(_CHUNK_BYTES, length)))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while length:
            count = file.readinto(buffer[:length])
            if not count:
                raise StagingError(
                    f"{path} became shorter", why="It was changed while it was sent.", hint="Run the command again."
                )
            yield buffer[:count]
            length -= count
