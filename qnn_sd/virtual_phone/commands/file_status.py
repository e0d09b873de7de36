"""Commands about the content of files: stat, sha256sum."""

from __future__ import annotations

import hashlib
import os
import re
import stat as file_modes
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from qnn_sd.virtual_phone.android.file_system import ResolvedPath
from qnn_sd.virtual_phone.commands.call import Call, CommandError
from qnn_sd.virtual_phone.commands.paths import owner_name

_KINDS = {
    file_modes.S_IFREG: "regular file",
    file_modes.S_IFDIR: "directory",
    file_modes.S_IFLNK: "symbolic link",
    file_modes.S_IFSOCK: "socket",
    file_modes.S_IFIFO: "FIFO (named pipe)",
}


@dataclass(frozen=True)
class _StatTarget:
    path: str
    resolved: ResolvedPath
    status: os.stat_result


def _kind(found: _StatTarget) -> str:
    if file_modes.S_ISREG(found.status.st_mode) and not found.status.st_size:
        return "regular empty file"
    return _KINDS.get(file_modes.S_IFMT(found.status.st_mode), "unknown")


_FIELDS: dict[str, Callable[[_StatTarget], object]] = {
    "a": lambda found: f"{file_modes.S_IMODE(found.status.st_mode):o}",
    "A": lambda found: file_modes.filemode(found.status.st_mode),
    "b": lambda found: found.status.st_blocks,
    "f": lambda found: f"{found.status.st_mode:x}",
    "F": _kind,
    "g": lambda found: found.resolved.uid,
    "G": lambda found: owner_name(found.resolved.uid),
    "h": lambda found: found.status.st_nlink,
    "i": lambda found: found.status.st_ino,
    "n": lambda found: found.path,
    "s": lambda found: found.status.st_size,
    "u": lambda found: found.resolved.uid,
    "U": lambda found: owner_name(found.resolved.uid),
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
        resolved = call.resolve(path, follow="L" in options)
        found = _StatTarget(path, resolved, resolved.host_path.lstat())
        line = re.sub(r"%(.)", lambda letter: "%" if letter[1] == "%" else str(_FIELDS[letter[1]](found)), options["c"])
        call.write(f"{line}\n")

    call.for_each(paths, show, "'{}'")


def sha256sum(call: Call) -> int:
    """``sha256sum [-b] [-c] [FILE...]``; -c checks lists of hashes."""
    options, paths = call.options("bc")

    def digest(path: str) -> str:
        sha256 = hashlib.sha256()
        for chunk in call.read_chunks(path):
            sha256.update(chunk)
        return sha256.hexdigest()

    def check(path: str) -> None:
        lines = b"".join(call.read_chunks(path)).decode("utf-8", "surrogateescape").splitlines()
        for line in lines:
            expected, _, name = line.partition("  ")
            try:
                matches = digest(name) == expected.lower()
            except OSError as error:
                call.print_error(f"{name}: {error.strerror}")
                matches = False
            call.write(f"{name}: {'OK' if matches else 'FAILED'}\n")
            call.status = call.status or int(not matches)

    def show(path: str) -> None:
        if "b" in options:
            call.write(f"{digest(path)}\n")
        else:
            call.write(f"{digest(path)}  {path}\n")

    call.for_each(paths or ["-"], check if "c" in options else show)
    return call.status
