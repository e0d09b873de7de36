"""Commands that show what there is: ls, find, readlink."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qnn_sd.virtual_phone.commands.call import Call, CommandError
from qnn_sd.virtual_phone.files import ROOT_UID

OWNERS = {ROOT_UID: "root"}


def owner_name(uid: int) -> str:
    """``root`` or ``shell``."""
    return OWNERS.get(uid, "shell")


def join(folder: str, name: str) -> str:
    """A path of the phone below another."""
    return f"{folder.rstrip('/')}/{name}"


@dataclass(frozen=True)
class _Entry:
    name: str
    status: os.stat_result
    owner: int
    target: str | None


def _entry(call: Call, path: str, shown: str, follow: bool = False) -> _Entry:
    place = call.place(path, follow=follow)
    status = place.host.lstat()
    target = str(place.host.readlink()) if stat.S_ISLNK(status.st_mode) else None
    return _Entry(shown, status, place.owner, target)


def _print(call: Call, entries: list[_Entry], long: bool) -> None:
    if not long:
        # One a line: what toybox prints when stdout is no terminal.
        call.out("".join(f"{entry.name}\n" for entry in entries))
        return

    def width(column: Callable[[_Entry], object]) -> int:
        return max((len(str(column(entry))) for entry in entries), default=0)

    links = width(lambda entry: entry.status.st_nlink)
    owner = width(lambda entry: owner_name(entry.owner))
    size = width(lambda entry: entry.status.st_size)
    for entry in entries:
        name, status = owner_name(entry.owner), entry.status
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.st_mtime))
        arrow = "" if entry.target is None else f" -> {entry.target}"
        call.out(
            f"{stat.filemode(status.st_mode)} {status.st_nlink:>{links}} {name:<{owner}} {name:<{owner}} "
            f"{status.st_size:>{size}} {when} {entry.name}{arrow}\n"
        )


def ls(call: Call) -> None:
    """``ls [-1aAdlR] [PATH...]``: files first, then each folder's content."""
    options, paths = call.options("1aAdlR")
    long = "l" in options
    named: list[_Entry] = []
    folders: list[str] = []

    def sort_out(path: str) -> None:
        # A link to a folder is shown as itself with -l or -d, else as the folder.
        entry = _entry(call, path, path, follow=not (long or "d" in options))
        if stat.S_ISDIR(entry.status.st_mode) and "d" not in options:
            folders.append(path)
        else:
            named.append(entry)

    call.each(paths or ["."], sort_out)
    _print(call, named, long)
    titled = len(paths) > 1 or "R" in options

    def show(folder: str) -> None:
        names = call.files.names(folder, call.cwd)
        if "a" not in options:
            names = [name for name in names if "A" in options or not name.startswith(".")]
        else:
            names = [".", "..", *names]
        entries = [_entry(call, join(folder, name), name) for name in names]
        if titled:
            call.out(f"{folder}:\n")
        if long:
            call.out(f"total {sum(entry.status.st_blocks for entry in entries) // 2}\n")
        _print(call, entries, long)
        if "R" in options:
            inside = [e.name for e in entries if stat.S_ISDIR(e.status.st_mode) and e.name not in (".", "..")]
            for name in inside:
                call.out("\n")
                call.each([join(folder, name)], show)

    for index, folder in enumerate(folders):
        if titled and (index or named):
            call.out("\n")
        call.each([folder], show)


def readlink(call: Call) -> int:
    """``readlink [-f] PATH``."""
    options, paths = call.options("f")
    if len(paths) != 1:
        raise CommandError("Needs 1 argument")
    try:
        place = call.place(paths[0], follow="f" in options)
        call.out(f"{place.phone if 'f' in options else place.host.readlink()}\n")
    except OSError:
        return 1
    return 0


_Test = Callable[[str, os.stat_result], bool]
_TYPES = {"f": stat.S_ISREG, "d": stat.S_ISDIR, "l": stat.S_ISLNK}


def _age(text: str, unit: float) -> Callable[[os.stat_result], bool]:
    """``+N``, ``-N`` or ``N`` units since the last change; parts of a unit don't count, as POSIX has it."""
    match = re.fullmatch(r"([+-]?)(\d+)", text)
    if match is None:
        raise CommandError(f"bad number '{text}'")
    sign, number, now = match[1], int(match[2]), time.time()

    def fits(status: os.stat_result) -> bool:
        age = int((now - status.st_mtime) // unit)
        return age > number if sign == "+" else age < number if sign == "-" else age == number

    return fits


def _find_test(option: str, value: str) -> _Test:
    if option == "-type" and value in _TYPES:
        return lambda _, status: _TYPES[value](status.st_mode)
    if option == "-name":
        return lambda path, _: fnmatch.fnmatchcase(path.rstrip("/").rsplit("/", 1)[-1], value)
    if option in ("-mtime", "-mmin"):
        old = _age(value, 86400.0 if option == "-mtime" else 60.0)
        return lambda _, status: old(status)
    raise CommandError(f"bad option '{option}'")


def find(call: Call) -> None:
    """``find [PATH...]`` with -mindepth, -maxdepth, -type f|d|l, -name, -mtime, -mmin, -print and -delete."""
    words = list(call.arguments)
    paths = []
    while words and not words[0].startswith("-"):
        paths.append(words.pop(0))
    tests: list[_Test] = []
    depths = {"-mindepth": 0, "-maxdepth": 1 << 30}
    delete = False
    while words:
        option = words.pop(0)
        if option in ("-print", "-delete"):
            delete = delete or option == "-delete"
            continue
        if not words:
            raise CommandError(f"'{option}' needs 1 arg")
        value = words.pop(0)
        if option in depths:
            if not value.isdecimal():
                raise CommandError(f"bad number '{value}'")
            depths[option] = int(value)
        else:
            tests.append(_find_test(option, value))

    def walk(path: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
        """The path and all below it; what is inside comes first when it is to be deleted."""
        status = call.place(path, follow=False).host.lstat()
        fits = depth >= depths["-mindepth"] and all(test(path, status) for test in tests)
        if fits and not delete:
            yield path, status
        if stat.S_ISDIR(status.st_mode) and depth < depths["-maxdepth"]:
            for name in call.files.names(path, call.cwd):
                yield from walk(join(path, name), depth + 1)
        if fits and delete:
            yield path, status

    def show(path: str) -> None:
        for found, status in walk(path, 0):
            if not delete:
                call.out(f"{found}\n")
                continue
            host = call.files.inside_changeable(found, call.cwd).host
            if stat.S_ISDIR(status.st_mode):
                host.rmdir()
            else:
                host.unlink()

    call.each(paths or ["."], show)
