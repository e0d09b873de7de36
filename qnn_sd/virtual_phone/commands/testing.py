"""``test`` and ``[`` (POSIX.1-2017, with the forms of up to four arguments)."""

from __future__ import annotations

import stat
from collections.abc import Callable

from qnn_sd.virtual_phone.commands.call import Call, CommandError

_MODES: dict[str, Callable[[int], bool]] = {
    "-f": stat.S_ISREG,
    "-d": stat.S_ISDIR,
    "-x": lambda mode: bool(mode & 0o111),
    "-r": lambda mode: bool(mode & 0o444),
}
_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda a, b: a == b,
    "-ne": lambda a, b: a != b,
    "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b,
    "-gt": lambda a, b: a > b,
    "-ge": lambda a, b: a >= b,
}


def bracket(call: Call) -> int:
    """``[ ... ]``."""
    if call.arguments[-1:] != ["]"]:
        raise CommandError("missing ]", status=2)
    return int(not _holds(call, call.arguments[:-1]))


def test(call: Call) -> int:
    """``test ...``."""
    return int(not _holds(call, call.arguments))


def _holds(call: Call, words: list[str]) -> bool:
    if words[:1] == ["!"] and len(words) > 1:
        return not _holds(call, words[1:])
    match words:
        case [] | [_]:
            return words not in ([], [""])
        case [option, word]:
            return _holds_of_one(call, option, word)
        case [left, option, right]:
            return _holds_of_two(left, option, right)
    raise _unexpected(words)


def _unexpected(words: list[str]) -> CommandError:
    return CommandError(f"unexpected operator/operand: {' '.join(words)}", status=2)


def _holds_of_one(call: Call, option: str, word: str) -> bool:
    if option in ("-n", "-z"):
        return (word == "") == (option == "-z")
    if option not in ("-e", "-L", "-h", "-s", "-w", *_MODES):
        raise _unexpected([option, word])
    try:
        place = call.place(word, follow=option not in ("-L", "-h"))
        status = place.host.lstat()
    except OSError:
        return False
    if option in _MODES:
        return _MODES[option](status.st_mode)
    return {
        "-e": True,
        "-L": stat.S_ISLNK(status.st_mode),
        "-h": stat.S_ISLNK(status.st_mode),
        "-s": status.st_size > 0,
        "-w": place.writable,
    }[option]


def _holds_of_two(left: str, option: str, right: str) -> bool:
    if option in ("=", "==", "!="):
        return (left == right) == (option != "!=")
    if option not in _NUMBERS:
        raise _unexpected([left, option, right])
    try:
        return _NUMBERS[option](int(left), int(right))
    except ValueError as error:
        raise CommandError(f"{left} {option} {right}: bad number", status=2) from error
