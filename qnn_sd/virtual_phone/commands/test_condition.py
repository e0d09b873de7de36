"""``test`` and ``[`` (POSIX.1-2017, with up to four arguments)."""

from __future__ import annotations

import stat
from collections.abc import Callable

from qnn_sd.virtual_phone.commands.call import Call, CommandError

_MODE_CONDITIONS: dict[str, Callable[[int], bool]] = {
    "-f": stat.S_ISREG,
    "-d": stat.S_ISDIR,
    "-x": lambda mode: bool(mode & 0o111),
    "-r": lambda mode: bool(mode & 0o444),
}
_NUMBER_CONDITIONS: dict[str, Callable[[int, int], bool]] = {
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
    return int(not _evaluate(call, call.arguments[:-1]))


def test(call: Call) -> int:
    """``test ...``."""
    return int(not _evaluate(call, call.arguments))


def _evaluate(call: Call, words: list[str]) -> bool:
    if words[:1] == ["!"] and len(words) > 1:
        return not _evaluate(call, words[1:])
    match words:
        case [] | [_]:
            return words not in ([], [""])
        case [option, word]:
            return _evaluate_file(call, option, word)
        case [left, option, right]:
            return _compare(left, option, right)
    raise _unexpected(words)


def _unexpected(words: list[str]) -> CommandError:
    return CommandError(f"unexpected operator/operand: {' '.join(words)}", status=2)


def _evaluate_file(call: Call, option: str, word: str) -> bool:
    if option in ("-n", "-z"):
        return (word == "") == (option == "-z")
    if option not in ("-e", "-L", "-h", "-s", "-w", *_MODE_CONDITIONS):
        raise _unexpected([option, word])
    try:
        resolved = call.resolve(word, follow=option not in ("-L", "-h"))
        status = resolved.host_path.lstat()
    except OSError:
        return False
    if option in _MODE_CONDITIONS:
        return _MODE_CONDITIONS[option](status.st_mode)
    return {
        "-e": True,
        "-L": stat.S_ISLNK(status.st_mode),
        "-h": stat.S_ISLNK(status.st_mode),
        "-s": status.st_size > 0,
        "-w": resolved.writable,
    }[option]


def _compare(left: str, option: str, right: str) -> bool:
    if option in ("=", "==", "!="):
        return (left == right) == (option != "!=")
    if option not in _NUMBER_CONDITIONS:
        raise _unexpected([left, option, right])
    try:
        return _NUMBER_CONDITIONS[option](int(left), int(right))
    except ValueError as error:
        raise CommandError(f"{left} {option} {right}: bad number", status=2) from error
