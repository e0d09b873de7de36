"""``find``."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from qnn_sd.virtual_phone.commands.call import Call, CommandError
from qnn_sd.virtual_phone.commands.paths import base_name, join

_Predicate = Callable[[str, os.stat_result], bool]
_FILE_TYPES = {"f": stat.S_ISREG, "d": stat.S_ISDIR, "l": stat.S_ISLNK}


def _age_predicate(text: str, unit: float) -> Callable[[os.stat_result], bool]:
    """``+N``, ``-N`` or ``N`` whole units since the last modification (POSIX's find)."""
    match = re.fullmatch(r"([+-]?)(\d+)", text)
    if match is None:
        raise CommandError(f"bad number '{text}'")
    sign, number, now = match[1], int(match[2]), time.time()

    def matches(status: os.stat_result) -> bool:
        age = int((now - status.st_mtime) // unit)
        return age > number if sign == "+" else age < number if sign == "-" else age == number

    return matches


def _predicate(option: str, value: str) -> _Predicate:
    if option == "-type" and value in _FILE_TYPES:
        return lambda _, status: _FILE_TYPES[value](status.st_mode)
    if option == "-name":
        return lambda path, _: fnmatch.fnmatchcase(base_name(path), value)
    if option in ("-mtime", "-mmin"):
        has_age = _age_predicate(value, 86400.0 if option == "-mtime" else 60.0)
        return lambda _, status: has_age(status)
    raise CommandError(f"bad option '{option}'")


@dataclass
class _Query:
    """The arguments of find."""

    paths: list[str]
    predicates: list[_Predicate] = field(default_factory=list)
    min_depth: int = 0
    max_depth: int = 1 << 30
    delete: bool = False


def _parse(arguments: list[str]) -> _Query:
    words = list(arguments)
    query = _Query([])
    while words and not words[0].startswith("-"):
        query.paths.append(words.pop(0))
    while words:
        option = words.pop(0)
        if option in ("-print", "-delete"):
            query.delete = query.delete or option == "-delete"
            continue
        if not words:
            raise CommandError(f"'{option}' needs 1 arg")
        value = words.pop(0)
        if option not in ("-mindepth", "-maxdepth"):
            query.predicates.append(_predicate(option, value))
        elif not value.isdecimal():
            raise CommandError(f"bad number '{value}'")
        elif option == "-mindepth":
            query.min_depth = int(value)
        else:
            query.max_depth = int(value)
    return query


def _walk(call: Call, query: _Query, path: str, depth: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    """The matching files at and below a path; the content of a folder comes first if it is to be deleted."""
    status = call.resolve(path, follow=False).host_path.lstat()
    matches = depth >= query.min_depth and all(predicate(path, status) for predicate in query.predicates)
    if matches and not query.delete:
        yield path, status
    if stat.S_ISDIR(status.st_mode) and depth < query.max_depth:
        for name in call.files.list_folder(path, call.cwd):
            yield from _walk(call, query, join(path, name), depth + 1)
    if matches and query.delete:
        yield path, status


def find(call: Call) -> None:
    """``find [PATH...]`` with -mindepth, -maxdepth, -type f|d|l, -name, -mtime, -mmin, -print and -delete."""
    query = _parse(call.arguments)

    def show_or_delete(path: str) -> None:
        for found, status in _walk(call, query, path):
            if not query.delete:
                call.write(f"{found}\n")
                continue
            host_path = call.files.resolve_removable(found, call.cwd).host_path
            if stat.S_ISDIR(status.st_mode):
                host_path.rmdir()
            else:
                host_path.unlink()

    call.for_each(query.paths or ["."], show_or_delete)
