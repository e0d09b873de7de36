"""Commands that measure files: stat, sha256sum, df, du."""

from __future__ import annotations

import hashlib
import os
import re
import stat as status_of
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from qnn_sd.virtual_phone.commands.call import Call, CommandError
from qnn_sd.virtual_phone.commands.listing import join, owner_name
from qnn_sd.virtual_phone.files import Place

_KINDS = {
    status_of.S_IFREG: "regular file",
    status_of.S_IFDIR: "directory",
    status_of.S_IFLNK: "symbolic link",
    status_of.S_IFSOCK: "socket",
    status_of.S_IFIFO: "FIFO (named pipe)",
}


@dataclass(frozen=True)
class _Found:
    path: str
    place: Place
    status: os.stat_result


def _kind(found: _Found) -> str:
    if status_of.S_ISREG(found.status.st_mode) and not found.status.st_size:
        return "regular empty file"
    return _KINDS.get(status_of.S_IFMT(found.status.st_mode), "unknown")


_FIELDS: dict[str, Callable[[_Found], object]] = {
    "a": lambda found: f"{status_of.S_IMODE(found.status.st_mode):o}",
    "A": lambda found: status_of.filemode(found.status.st_mode),
    "b": lambda found: found.status.st_blocks,
    "f": lambda found: f"{found.status.st_mode:x}",
    "F": _kind,
    "g": lambda found: found.place.owner,
    "G": lambda found: owner_name(found.place.owner),
    "h": lambda found: found.status.st_nlink,
    "i": lambda found: found.status.st_ino,
    "n": lambda found: found.path,
    "s": lambda found: found.status.st_size,
    "u": lambda found: found.place.owner,
    "U": lambda found: owner_name(found.place.owner),
    "X": lambda found: int(found.status.st_atime),
    "y": lambda found: datetime.fromtimestamp(found.status.st_mtime).astimezone().isoformat(" "),
    "Y": lambda found: int(found.status.st_mtime),
    "Z": lambda found: int(found.status.st_ctime),
}


def stat(call: Call) -> None:
    """``stat [-L] -c FORMAT PATH...`` with toybox's letters."""
    options, paths = call.options("Lc:")
    if "c" not in options:
        raise CommandError("only with -c FORMAT")
    unknown = next(
        (letter for letter in re.findall(r"%(.?)", options["c"], re.S) if letter not in (*_FIELDS, "%")), None
    )
    if unknown is not None:
        raise CommandError(f"bad %{unknown}")

    def show(path: str) -> None:
        place = call.place(path, follow="L" in options)
        found = _Found(path, place, place.host.lstat())
        line = re.sub(r"%(.)", lambda letter: "%" if letter[1] == "%" else str(_FIELDS[letter[1]](found)), options["c"])
        call.out(f"{line}\n")

    call.each(paths, show, "'{}'")


def sha256sum(call: Call) -> int:
    """``sha256sum [-b] [-c] [FILE...]``; -c checks lists of hashes."""
    options, paths = call.options("bc")

    def digest(path: str) -> str:
        hashed = hashlib.sha256()
        for piece in call.pieces(path):
            hashed.update(piece)
        return hashed.hexdigest()

    def check(path: str) -> None:
        lines = b"".join(call.pieces(path)).decode("utf-8", "surrogateescape").splitlines()
        for line in lines:
            wanted, _, name = line.partition("  ")
            try:
                right = digest(name) == wanted.lower()
            except OSError as error:
                call.complain(f"{name}: {error.strerror}")
                right = False
            call.out(f"{name}: {'OK' if right else 'FAILED'}\n")
            call.status = call.status or int(not right)

    def show(path: str) -> None:
        if "b" in options:
            call.out(f"{digest(path)}\n")
        else:
            call.out(f"{digest(path)}  {path}\n")

    call.each(paths or ["-"], check if "c" in options else show)
    return call.status


def df(call: Call) -> None:
    """``df [-k] [PATH...]``: one data partition, in KiB."""
    _, paths = call.options("k")
    for path in paths:
        call.each([path], lambda path: _exists(call, path))
    if call.status:
        return
    size, free = call.files.capacity()
    used = size - free
    # Rounded as toybox does: up, of what is used against what can be.
    percent = -(-used * 100 // max(used + free, 1))
    rows = [
        ["Filesystem", "1K-blocks", "Used", "Available", "Use%", "Mounted on"],
        *([["/dev/block/data", str(size // 1024), str(used // 1024), str(free // 1024), f"{percent}%", "/data"]]),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        right = " ".join(f"{row[column]:>{widths[column]}}" for column in range(1, 5))
        call.out(f"{row[0]:<{widths[0]}} {right} {row[5]}\n")


def _exists(call: Call, path: str) -> None:
    call.place(path).host.stat()


def du(call: Call) -> None:
    """``du [-k] [-s] [-a] [PATH...]``: KiB on disk; folders, and with -a files."""
    options, paths = call.options("ksa")

    def measure(path: str, depth: int) -> int:
        status = call.place(path, follow=False).host.lstat()
        blocks = status.st_blocks
        folder = status_of.S_ISDIR(status.st_mode)
        if folder:
            blocks += sum(measure(join(path, name), depth + 1) for name in call.files.names(path, call.cwd))
        if depth == 0 or ("s" not in options and (folder or "a" in options)):
            call.out(f"{(blocks + 1) // 2}\t{path}\n")
        return blocks

    def show(path: str) -> None:
        measure(path, 0)

    call.each(paths or ["."], show)
