"""Commands that change modes and times: chmod, touch."""

from __future__ import annotations

import os
import re
import stat
from datetime import datetime

from qnn_sd.virtual_phone.commands.call import Call, CommandError
from qnn_sd.virtual_phone.commands.paths import join

_MODE_CLAUSE = re.compile(r"([ugoa]*)([+=-])([rwxX]*)")
_PERMISSION_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "X": 0o111}
_CLASS_BITS = {"u": 0o700, "g": 0o070, "o": 0o007}


def changed_mode(text: str, current: int) -> int:
    """The mode that ``755`` or ``u+x,go-w`` gives.

    Args:
        text: the argument of chmod.
        current: the mode that it changes.

    Raises:
        CommandError: it is invalid.
    """
    if re.fullmatch(r"[0-7]{1,4}", text):
        return int(text, 8)
    for clause in text.split(","):
        match = _MODE_CLAUSE.fullmatch(clause)
        if match is None:
            raise CommandError(f"bad mode '{text}'")
        classes, sign, letters = match.groups()
        mask = sum(_CLASS_BITS[name] for name in set(classes)) if classes and "a" not in classes else 0o777
        bits = 0
        for letter in letters:
            if letter != "X" or current & 0o111 or stat.S_ISDIR(current):
                bits |= _PERMISSION_BITS[letter]
        bits &= mask
        current = current | bits if sign == "+" else current & ~bits if sign == "-" else current & ~mask | bits
    return stat.S_IMODE(current)


def chmod(call: Call) -> None:
    """``chmod [-R] MODE PATH...``."""
    # getopt would take a mode such as -w for an option.
    recursive = call.arguments[:1] == ["-R"]
    mode, *paths = call.require(call.arguments[recursive:], 2)

    def change(path: str) -> None:
        resolved = call.files.resolve_writable(path, call.cwd)
        current = resolved.host_path.stat().st_mode
        resolved.host_path.chmod(changed_mode(mode, current))
        if recursive and stat.S_ISDIR(current):
            for name in call.files.list_folder(path, call.cwd):
                if not call.resolve(join(path, name), follow=False).host_path.is_symlink():
                    change(join(path, name))

    call.for_each(paths, change, f"chmod '{{}}' to {mode}")


def touch(call: Call) -> None:
    """``touch [-c] [-t [CC]YYMMDDhhmm[.ss] | -d TIME | -r FILE] FILE...``; TIME is @SECONDS or ISO 8601."""
    options, paths = call.options("cht:d:r:")
    times = _touch_times(call, options)

    def change(path: str) -> None:
        resolved = call.files.resolve_writable(path, call.cwd)
        if not resolved.host_path.exists():
            if "c" in options:
                return
            os.close(call.files.open_to_write(path, call.cwd))
        os.utime(resolved.host_path, times)

    call.for_each(call.require(paths), change, "'{}'")


def _touch_times(call: Call, options: dict[str, str]) -> tuple[float, float] | None:
    """Times of access and modification; None for now."""
    if "r" in options:
        status = call.resolve(options["r"]).host_path.stat()
        return status.st_atime, status.st_mtime
    text = options.get("t", options.get("d"))
    if text is None:
        return None
    try:
        if "t" in options:
            year = "%Y" if len(text.partition(".")[0]) == 12 else "%y"
            seconds = datetime.strptime(text, f"{year}%m%d%H%M{'.%S' if '.' in text else ''}").timestamp()
        elif text.startswith("@"):
            seconds = float(text[1:])
        else:
            seconds = datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise CommandError(f"bad date '{text}'") from error
    return seconds, seconds
