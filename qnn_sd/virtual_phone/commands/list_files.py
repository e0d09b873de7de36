"""Commands that list files: ls, readlink."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass

from qnn_sd.virtual_phone.commands.call import Call, CommandError
from qnn_sd.virtual_phone.commands.paths import join, owner_name


@dataclass(frozen=True)
class _ListedFile:
    name: str
    status: os.stat_result
    uid: int
    target: str | None


def _entry(call: Call, path: str, name: str, follow: bool = False) -> _ListedFile:
    resolved = call.resolve(path, follow=follow)
    status = resolved.host_path.lstat()
    target = str(resolved.host_path.readlink()) if stat.S_ISLNK(status.st_mode) else None
    return _ListedFile(name, status, resolved.uid, target)


def _print(call: Call, entries: list[_ListedFile], long: bool) -> None:
    if not long:
        # One name a line, as toybox prints them when stdout is no terminal.
        call.write("".join(f"{entry.name}\n" for entry in entries))
        return

    def width(column: Callable[[_ListedFile], object]) -> int:
        return max((len(str(column(entry))) for entry in entries), default=0)

    links = width(lambda entry: entry.status.st_nlink)
    owner = width(lambda entry: owner_name(entry.uid))
    size = width(lambda entry: entry.status.st_size)
    for entry in entries:
        name, status = owner_name(entry.uid), entry.status
        modified = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.st_mtime))
        arrow = "" if entry.target is None else f" -> {entry.target}"
        call.write(
            f"{stat.filemode(status.st_mode)} {status.st_nlink:>{links}} {name:<{owner}} {name:<{owner}} "
            f"{status.st_size:>{size}} {modified} {entry.name}{arrow}\n"
        )


def ls(call: Call) -> None:
    """``ls [-1aAdlR] [PATH...]``: files first, then each folder's content."""
    options, paths = call.options("1aAdlR")
    long = "l" in options
    files: list[_ListedFile] = []
    folders: list[str] = []

    def classify(path: str) -> None:
        # A link to a folder is listed as a link with -l or -d, else as the folder.
        entry = _entry(call, path, path, follow=not (long or "d" in options))
        if stat.S_ISDIR(entry.status.st_mode) and "d" not in options:
            folders.append(path)
        else:
            files.append(entry)

    call.for_each(paths or ["."], classify)
    _print(call, files, long)
    with_titles = len(paths) > 1 or "R" in options

    def show(folder: str) -> None:
        names = call.files.list_folder(folder, call.cwd)
        if "a" not in options:
            names = [name for name in names if "A" in options or not name.startswith(".")]
        else:
            names = [".", "..", *names]
        entries = [_entry(call, join(folder, name), name) for name in names]
        if with_titles:
            call.write(f"{folder}:\n")
        if long:
            call.write(f"total {sum(entry.status.st_blocks for entry in entries) // 2}\n")
        _print(call, entries, long)
        if "R" in options:
            subfolders = [e.name for e in entries if stat.S_ISDIR(e.status.st_mode) and e.name not in (".", "..")]
            for name in subfolders:
                call.write("\n")
                call.for_each([join(folder, name)], show)

    for index, folder in enumerate(folders):
        if with_titles and (index or files):
            call.write("\n")
        call.for_each([folder], show)


def readlink(call: Call) -> int:
    """``readlink [-f] PATH``."""
    options, paths = call.options("f")
    if len(paths) != 1:
        raise CommandError("Needs 1 argument")
    try:
        resolved = call.resolve(paths[0], follow="f" in options)
        call.write(f"{resolved.device_path if 'f' in options else resolved.host_path.readlink()}\n")
    except OSError:
        return 1
    return 0
