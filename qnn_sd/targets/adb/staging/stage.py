"""Files on the phone: sent once, known by their content, never taken for whole when they are half.

A set of files that belong together is a folder named after their hashes, so versions stand side by
side and a set that is there is never sent again. A file arrives in pieces, since adbd throws away one
that was cut off. They are joined to ``<name>.part`` while the next ones come, which is hashed on the
phone and gets its name only then; a part that an earlier run left is continued where its own hash agrees.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qnn_sd.artifact import sha256_of_file
from qnn_sd.console import Console, Transfer
from qnn_sd.errors import StagingError
from qnn_sd.targets.adb.client.adb import Phone, ShellResult
from qnn_sd.targets.adb.client.devices import HOME, free_bytes
from qnn_sd.targets.adb.staging.piece_assembler import PARTIAL_SUFFIX, PieceAssembler
from qnn_sd.targets.adb.staging.sync_sender import refused

# Written last: what the folder held when it was whole. A later run compares sizes and times with it.
_MARK = "staged"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHUNK = 1 << 20
# A pulled cable costs the pieces that are on their way.
PIECE_BYTES = 16 << 20
# Between answers; no name has such a sign.
_RULE = "="
# Android wants some room for itself; below it, it starts to kill and to complain.
SPARE_BYTES = 256 << 20


@dataclass(frozen=True)
class FileSet:
    """Files that go into one folder on the phone.

    Attributes:
        kind: what they are, such as ``unet`` or ``libs``; the folder's first name.
        files: local paths by their names on the phone.

    Raises:
        StagingError: a name that could lead out of the folder, or mean something to the shell.
    """

    kind: str
    files: Mapping[str, Path]

    def __post_init__(self) -> None:
        for name in (self.kind, *self.files):
            if not _NAME.fullmatch(name) or name.endswith(PARTIAL_SUFFIX) or name == _MARK:
                raise StagingError(
                    f"{name!r} can't be the name of a staged file",
                    why="Names have letters, digits, dots, dashes and underscores only, and stay in their folder.",
                    hint="Make the bundle anew with qnn-sd compile.",
                )

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file, by name."""
        return {name: sha256_of_file(path) for name, path in sorted(self.files.items())}

    @property
    def folder(self) -> str:
        """Where they stand on the phone."""
        listing = "".join(f"{digest}  {name}\n" for name, digest in self.hashes.items())
        return f"{HOME}/{self.kind}/{hashlib.sha256(listing.encode()).hexdigest()[:16]}"

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return self.files[name].stat().st_size


@dataclass
class StagingResult:
    """What staging did.

    Attributes:
        sent_bytes: over the cable.
        kept_bytes: that were on the phone already, in whole files and in parts that were gone on with.
    """

    sent_bytes: int = 0
    kept_bytes: int = 0


def stage(phone: Phone, sets: Sequence[FileSet], console: Console) -> StagingResult:
    """Brings sets of files onto the phone.

    Args:
        phone: which one.
        sets: what it needs.
        console: where the transfer is shown.

    Raises:
        StagingError: no room, or the phone refuses to write; what arrived stays and is used next time.
        DeviceError: the phone went away; the next run goes on where this one stopped.
    """
    done = StagingResult()
    missing: list[tuple[FileSet, list[str]]] = []
    for files, whole in zip(sets, _are_whole(phone, sets), strict=True):
        names = [] if whole else missing_files(phone, files)
        done.kept_bytes += sum(files.size(name) for name in files.files if name not in names)
        if not whole:
            missing.append((files, names))
    needed = sum(files.size(name) for files, names in missing for name in names)
    if needed:
        _require_room(phone, needed)
        parts = _prepare(phone, [files for files, _ in missing])
        with console.transfer(f"staging on {phone.serial}", needed) as transfer, PieceAssembler(phone) as joiner:
            for files, names in missing:
                for name in names:
                    start = _resumable(phone, files, name, parts)
                    transfer.advance(start)
                    done.kept_bytes += start
                    _send(files, name, start, joiner, transfer)
                    done.sent_bytes += files.size(name) - start
    for files, _ in missing:
        _mark(phone, files)
    _touch(phone, sets)
    return done


def missing_files(phone: Phone, files: FileSet) -> list[str]:
    """Names of the files that aren't on the phone as they should be, by the hashes that the phone computes.

    Raises:
        DeviceError: it went away.
    """
    there = _hashes_on(phone, files.folder, list(files.files))
    return [name for name, digest in files.hashes.items() if there.get(name) != digest]


def _are_whole(phone: Phone, sets: Sequence[FileSet]) -> list[bool]:
    """For each set, whether its folder says that it is whole, and is as it was then; all in one question."""
    question = "; ".join(f"cat {files.folder}/{_MARK}; echo {_RULE}; {_stat(files)}; echo {_RULE}" for files in sets)
    answers = phone.shell(question).text.split(_RULE)
    found = zip(answers[0::2], answers[1::2], strict=False)
    return [bool(mark.strip()) and mark.strip() == now.strip() for mark, now in found]


def _stat(files: FileSet) -> str:
    """The command for size, time of the last change and name of each file, as the mark has them."""
    return f"cd {files.folder} && stat -c '%s %Y %n' {' '.join(sorted(files.files))}"


def _mark(phone: Phone, files: FileSet) -> None:
    command = f"{_stat(files)} > {_MARK}{PARTIAL_SUFFIX} && mv {_MARK}{PARTIAL_SUFFIX} {_MARK}"
    _require(phone, phone.shell(command), "write")


def _touch(phone: Phone, sets: Sequence[FileSet]) -> None:
    """So that what is in use isn't old."""
    _require(phone, phone.shell("touch " + " ".join(files.folder for files in sets)), "write")


def _hashes_on(phone: Phone, folder: str, names: Sequence[str]) -> dict[str, str]:
    result = phone.shell(f"cd {folder} && sha256sum {' '.join(names)}")
    pairs = (line.split("  ", 1) for line in result.text.splitlines())
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def _require_room(phone: Phone, needed: int) -> None:
    free = free_bytes(phone)
    if needed + SPARE_BYTES > free:
        raise StagingError(
            f"{phone.serial} has too little room",
            why=f"{needed / 1e6:,.0f} MB are to be staged, {free / 1e6:,.0f} MB are free, "
            f"and {SPARE_BYTES / 1e6:,.0f} MB are left for Android.",
            hint="Delete something on the phone, or what older versions staged: qnn-sd unstage.",
        )


def _prepare(phone: Phone, sets: Sequence[FileSet]) -> dict[str, int]:
    """Makes the folders; returns the size of each part that an earlier run left, by its path."""
    folders = [files.folder for files in sets]
    loose = " ".join(f"{folder}/*{PARTIAL_SUFFIX}.*" for folder in folders)
    _require(phone, phone.shell(f"mkdir -p {' '.join(folders)} && rm -f {loose}"), "make a folder")
    # Where there is none, it complains of the pattern.
    listing = phone.shell("stat -c '%s %n' " + " ".join(f"{folder}/*{PARTIAL_SUFFIX}" for folder in folders)).text
    pairs = (line.split(" ", 1) for line in listing.splitlines())
    return {path: int(size) for size, path in pairs}


def _resumable(phone: Phone, files: FileSet, name: str, parts: Mapping[str, int]) -> int:
    """Bytes of a part that an earlier run left and that are right."""
    part = f"{name}{PARTIAL_SUFFIX}"
    length = parts.get(f"{files.folder}/{part}", 0)
    if not 0 < length <= files.size(name):
        return 0
    digest = hashlib.sha256()
    for chunk in read_chunks(files.files[name], 0, length):
        digest.update(chunk)
    return length if _hashes_on(phone, files.folder, [part]).get(part) == digest.hexdigest() else 0


def _send(files: FileSet, name: str, start: int, joiner: PieceAssembler, transfer: Transfer) -> None:
    """Sends one file from a byte on. Its last pieces may still be on their way when this returns."""
    path, target, size = files.files[name], f"{files.folder}/{name}", files.size(name)

    def counted(at: int) -> Iterator[memoryview]:
        for chunk in read_chunks(path, at, min(PIECE_BYTES, size - at)):
            yield chunk
            transfer.advance(len(chunk))

    joiner.begin(target, start)
    for at in range(start, size, PIECE_BYTES):
        joiner.send(target, counted(at))
    joiner.end(target, files.hashes[name])


def read_chunks(path: Path, start: int, length: int) -> Iterator[memoryview]:
    """Some of a file, in chunks that are good until the next one is asked for.

    Args:
        path: of the file.
        start: first byte.
        length: bytes.

    Raises:
        StagingError: it ends before that.
    """
    buffer = memoryview(bytearray(min(_CHUNK, length)))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while length:
            count = file.readinto(buffer[:length])
            if not count:
                raise StagingError(f"{path} became shorter", why="It is being sent.", hint="Run the command again.")
            yield buffer[:count]
            length -= count


def _require(phone: Phone, result: ShellResult, what: str) -> None:
    if result.code:
        raise refused(phone, what, result.complaint)


def unstage(phone: Phone, older_than_days: int) -> list[str]:
    """Removes what was staged and hasn't been used for some time.

    Args:
        phone: which one.
        older_than_days: whole days since the last use; 0 removes everything.

    Returns:
        The folders that went.

    Raises:
        StagingError: the phone refuses.
        DeviceError: it went away.
    """
    listing = phone.shell(f"find {HOME} -mindepth 2 -maxdepth 2 -type d")
    folders = [line for line in listing.text.splitlines() if line.startswith(f"{HOME}/")]
    if older_than_days:
        now = int(phone.ask("date +%s"))
        ages = phone.shell("stat -c '%Y %n' " + " ".join(map(shlex.quote, folders))).text if folders else ""
        limit = now - 86_400 * older_than_days
        folders = [name for stamp, name in (line.split(" ", 1) for line in ages.splitlines()) if int(stamp) < limit]
    if folders:
        _require(phone, phone.shell("rm -rf " + " ".join(map(shlex.quote, folders))), "remove what was staged")
    return folders
