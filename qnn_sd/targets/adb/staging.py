"""Files on the phone: sent once, known by their content, never taken for whole when they are half.

A set of files that belong together is a folder named after their hashes, so versions stand side by
side and a set that is there is never sent again. A file arrives as ``<name>.part``, is hashed on the
phone, and gets its name only then; a part that was cut off is continued where its own hash agrees.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qnn_sd.console import Console, Transfer
from qnn_sd.errors import StagingError
from qnn_sd.targets.adb.client import Phone, Result
from qnn_sd.targets.adb.devices import HOME, free_bytes

# Written last: what the folder held when it was whole. A later run compares sizes and times with it.
_MARK = "staged"
_PART = ".part"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHUNK = 1 << 20
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
            if not _NAME.fullmatch(name) or name.endswith(_PART) or name == _MARK:
                raise StagingError(
                    f"{name!r} can't be the name of a staged file",
                    why="Names have letters, digits, dots, dashes and underscores only, and stay in their folder.",
                    hint="Make the bundle anew with qnn-sd compile.",
                )

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file, by name."""
        found = {}
        for name, path in sorted(self.files.items()):
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    @property
    def folder(self) -> str:
        """Where they stand on the phone."""
        listing = "".join(f"{digest}  {name}\n" for name, digest in self.hashes.items())
        return f"{HOME}/{self.kind}/{hashlib.sha256(listing.encode()).hexdigest()[:16]}"

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return self.files[name].stat().st_size


@dataclass
class Staged:
    """What staging did.

    Attributes:
        sent_bytes: over the cable.
        kept_bytes: that were on the phone already.
    """

    sent_bytes: int = 0
    kept_bytes: int = 0


def stage(phone: Phone, sets: Sequence[FileSet], console: Console) -> Staged:
    """Brings sets of files onto the phone.

    Args:
        phone: which one.
        sets: what it needs.
        console: where the transfer is shown.

    Raises:
        StagingError: no room, or the phone refuses to write; what arrived stays and is used next time.
        DeviceError: the phone went away; the next run goes on where this one stopped.
    """
    done = Staged()
    missing: list[tuple[FileSet, list[str]]] = []
    for files in sets:
        whole = _is_whole(phone, files)
        names = [] if whole else lacking(phone, files)
        done.kept_bytes += sum(files.size(name) for name in files.files if name not in names)
        if not whole:
            missing.append((files, names))
    needed = sum(files.size(name) for files, names in missing for name in names)
    if needed:
        _require_room(phone, needed)
        with console.transfer(f"staging on {phone.serial}", needed) as transfer:
            for files, names in missing:
                _require(phone, phone.shell(f"mkdir -p {files.folder}"), "make a folder")
                for name in names:
                    done.sent_bytes += _send(phone, files, name, transfer)
    for files, _ in missing:
        _mark(phone, files)
    _touch(phone, sets)
    return done


def lacking(phone: Phone, files: FileSet) -> list[str]:
    """Names of the files that aren't on the phone as they should be, by the hashes that the phone computes.

    Raises:
        DeviceError: it went away.
    """
    there = _hashes_on(phone, files.folder, list(files.files))
    return [name for name, digest in files.hashes.items() if there.get(name) != digest]


def _is_whole(phone: Phone, files: FileSet) -> bool:
    mark = phone.shell(f"cat {files.folder}/{_MARK}")
    return mark.code == 0 and mark.text == _stat(phone, files)


def _stat(phone: Phone, files: FileSet) -> str:
    """Size, time of the last change and name of each file, as the mark has them."""
    names = " ".join(sorted(files.files))
    return phone.shell(f"cd {files.folder} && stat -c '%s %Y %n' {names}").text


def _mark(phone: Phone, files: FileSet) -> None:
    names = " ".join(sorted(files.files))
    command = f"cd {files.folder} && stat -c '%s %Y %n' {names} > {_MARK}{_PART} && mv {_MARK}{_PART} {_MARK}"
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


def _send(phone: Phone, files: FileSet, name: str, transfer: Transfer) -> int:
    """Sends one file, or the rest of it; returns the bytes sent."""
    folder, path, digest = files.folder, files.files[name], files.hashes[name]
    start = _resumable(phone, folder, name, path)
    redirect = ">>" if start else ">"
    command = f"cd {folder} && cat {redirect} {name}{_PART}"
    before = transfer.moved
    transfer.advance(start)
    _require(phone, phone.shell(command, _chunks(path, start), transfer.advance), f"write {name}")
    arrived = _hashes_on(phone, folder, [f"{name}{_PART}"]).get(f"{name}{_PART}")
    if arrived != digest:
        phone.shell(f"rm -f {folder}/{name}{_PART}")
        raise StagingError(
            f"{name} arrived damaged on {phone.serial}",
            why=f"Its hash there is {arrived or 'missing'}, here {digest}.",
            hint="Try again; with another cable if it happens twice.",
        )
    # The DSP's process reads the libraries as another user.
    finish = f"cd {folder} && chmod 644 {name}{_PART} && mv {name}{_PART} {name}"
    _require(phone, phone.shell(finish), f"rename {name}")
    return transfer.moved - before - start


def _resumable(phone: Phone, folder: str, name: str, path: Path) -> int:
    """Bytes of a part that a former run left and that are right."""
    part = f"{name}{_PART}"
    size = phone.shell(f"stat -c %s {folder}/{part}")
    if size.code or not size.text.isdigit():
        return 0
    length = int(size.text)
    if not 0 < length <= path.stat().st_size:
        return 0
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = length
        while left:
            data = file.read(min(_CHUNK, left))
            digest.update(data)
            left -= len(data)
    return length if _hashes_on(phone, folder, [part]).get(part) == digest.hexdigest() else 0


def _chunks(path: Path, start: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while data := file.read(_CHUNK):
            yield data


def _require(phone: Phone, result: Result, what: str) -> None:
    if result.code:
        raise StagingError(
            f"{phone.serial} can't {what}",
            why=result.complaint,
            hint="Make room on the phone (qnn-sd unstage), or look at it with adb shell.",
        )


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
