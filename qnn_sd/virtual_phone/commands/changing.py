"""Commands that change files."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable
from datetime import datetime

from qnn_sd.virtual_phone.commands.call import Call, CommandError
from qnn_sd.virtual_phone.commands.listing import join
from qnn_sd.virtual_phone.files import NEW_FOLDER_MODE, failure


def mkdir(call: Call) -> None:
    """``mkdir [-p] [-m MODE] FOLDER...``."""
    options, paths = call.options("pm:")
    mode = _mode(options["m"], NEW_FOLDER_MODE) if "m" in options else NEW_FOLDER_MODE

    def make(path: str) -> None:
        if "p" in options:
            call.files.make_folders(path, call.cwd, mode)
            return
        place = call.files.changeable(path, call.cwd)
        place.host.mkdir()
        place.host.chmod(mode)

    call.each(_needed(paths), make, "'{}'")


def rmdir(call: Call) -> None:
    """``rmdir FOLDER...``."""
    _, paths = call.options("")
    call.each(_needed(paths), lambda path: call.files.inside_changeable(path, call.cwd).host.rmdir())


def rm(call: Call) -> None:
    """``rm [-fr] PATH...``."""
    options, paths = call.options("frR")
    recursive = "r" in options or "R" in options

    def remove(path: str) -> None:
        try:
            place = call.files.inside_changeable(path, call.cwd)
            status = place.host.lstat()
        except FileNotFoundError:
            if "f" in options:
                return
            raise
        if not stat.S_ISDIR(status.st_mode):
            place.host.unlink()
        elif recursive:
            shutil.rmtree(place.host)
        else:
            raise failure(errno.EISDIR, path)

    call.each(paths if "f" in options else _needed(paths), remove)


def _needed(paths: list[str], count: int = 1) -> list[str]:
    if len(paths) < count:
        raise CommandError(f"Needs {count} argument{'s' if count > 1 else ''}")
    return paths


def _onto(call: Call, paths: list[str], into: bool, act: Callable[[str, str], None]) -> None:
    """Calls ``act`` with each source and its target: inside the last path if that is a folder, else the last path."""
    *sources, target = _needed(paths, 2)
    folder = into and call.files.is_folder(target, call.cwd)
    if len(sources) > 1 and not folder:
        raise CommandError(f"'{target}' not directory")
    for source in sources:
        goal = join(target, source.rstrip("/").rsplit("/", 1)[-1]) if folder else target
        call.each([source], lambda path, goal=goal: act(path, goal), "bad '{}'")  # type: ignore[misc]


def mv(call: Call) -> None:
    """``mv [-fnT] SOURCE... TARGET``."""
    options, paths = call.options("fnT")

    def move(source: str, target: str) -> None:
        from_, to = call.files.inside_changeable(source, call.cwd), call.files.inside_changeable(target, call.cwd)
        from_.host.lstat()
        if "n" in options and to.host.exists():
            return
        from_.host.rename(to.host)

    _onto(call, paths, "T" not in options, move)


def cp(call: Call) -> None:
    """``cp [-afpPrRT] SOURCE... TARGET``; -a and -p keep times, links are followed without -P or -a."""
    options, paths = call.options("afpPrRT")
    recursive = any(option in options for option in "arR")
    keep_times = "a" in options or "p" in options
    keep_links = "a" in options or "P" in options

    def copy(source: str, target: str) -> None:
        origin = call.place(source, follow=not keep_links)
        status = origin.host.lstat()
        if stat.S_ISDIR(status.st_mode):
            if not recursive:
                raise failure(errno.EISDIR, source)
            names = call.files.names(source, call.cwd)
            call.files.make_folders(target, call.cwd, stat.S_IMODE(status.st_mode))
            inside = call.place(target).host
            if inside == origin.host or origin.host in inside.parents:
                raise failure(errno.EINVAL, source)
            for name in names:
                copy(join(source, name), join(target, name))
        elif stat.S_ISLNK(status.st_mode):
            call.files.inside_changeable(target, call.cwd).host.symlink_to(origin.host.readlink())
        else:
            _copy_file(call, source, target, stat.S_IMODE(status.st_mode))
        if keep_times:
            times = (status.st_atime_ns, status.st_mtime_ns)
            os.utime(call.place(target, follow=False).host, ns=times, follow_symlinks=False)

    _onto(call, paths, "T" not in options, copy)


def _copy_file(call: Call, source: str, target: str, mode: int) -> None:
    if call.place(source).host == call.place(target).host:
        raise failure(errno.EINVAL, source)
    handle = call.files.open_to_write(target, call.cwd)
    try:
        for piece in call.pieces(source):
            call.files.write(handle, piece)
        os.fchmod(handle, mode)
    finally:
        os.close(handle)


def ln(call: Call) -> None:
    """``ln -s [-fT] TARGET NAME``; the target is any text, and leads nowhere outside the phone."""
    options, paths = call.options("sfT")
    if "s" not in options or len(paths) != 2:
        raise CommandError("only ln -s TARGET NAME")
    target, name = paths

    def link(path: str) -> None:
        goal = path
        if "T" not in options and call.files.is_folder(path, call.cwd):
            goal = join(path, target.rstrip("/").rsplit("/", 1)[-1])
        place = call.files.inside_changeable(goal, call.cwd)
        if "f" in options:
            place.host.unlink(missing_ok=True)
        place.host.symlink_to(target)

    call.each([name], link, f"cannot create symbolic link from '{target}' to '{{}}'")


_CLAUSE = re.compile(r"([ugoa]*)([+=-])([rwxX]*)")
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "X": 0o111}
_WHO = {"u": 0o700, "g": 0o070, "o": 0o007}


def _mode(text: str, current: int) -> int:
    """The mode that ``755`` or ``u+x,go-w`` makes of another.

    Raises:
        CommandError: it is spelled otherwise.
    """
    if re.fullmatch(r"[0-7]{1,4}", text):
        return int(text, 8)
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise CommandError(f"bad mode '{text}'")
        who, sign, letters = match.groups()
        mask = sum(_WHO[w] for w in set(who)) if who and "a" not in who else 0o777
        bits = 0
        for letter in letters:
            if letter != "X" or current & 0o111 or stat.S_ISDIR(current):
                bits |= _BITS[letter]
        bits &= mask
        current = current | bits if sign == "+" else current & ~bits if sign == "-" else current & ~mask | bits
    return stat.S_IMODE(current)


def chmod(call: Call) -> None:
    """``chmod [-R] MODE PATH...``."""
    # A mode such as -w would read as an option.
    recursive = call.arguments[:1] == ["-R"]
    mode, *paths = _needed(call.arguments[recursive:], 2)

    def change(path: str) -> None:
        place = call.files.changeable(path, call.cwd)
        current = place.host.stat().st_mode
        place.host.chmod(_mode(mode, current))
        if recursive and stat.S_ISDIR(current):
            for name in call.files.names(path, call.cwd):
                if not call.place(join(path, name), follow=False).host.is_symlink():
                    change(join(path, name))

    call.each(paths, change, f"chmod '{{}}' to {mode}")


def touch(call: Call) -> None:
    """``touch [-c] [-t [CC]YYMMDDhhmm[.ss] | -d TIME | -r FILE] FILE...``; TIME is @SECONDS or ISO 8601."""
    options, paths = call.options("cht:d:r:")
    times: tuple[float, float] | None = None
    try:
        if "t" in options:
            text = options["t"]
            form = ("%Y" if len(text.partition(".")[0]) == 12 else "%y") + "%m%d%H%M" + (".%S" if "." in text else "")
            times = (datetime.strptime(text, form).timestamp(),) * 2
        elif "d" in options:
            text = options["d"]
            seconds = float(text[1:]) if text.startswith("@") else datetime.fromisoformat(text).timestamp()
            times = (seconds, seconds)
    except ValueError as error:
        raise CommandError(f"bad date '{options.get('t') or options['d']}'") from error
    if "r" in options:
        status = call.place(options["r"]).host.stat()
        times = (status.st_atime, status.st_mtime)

    def change(path: str) -> None:
        place = call.files.changeable(path, call.cwd)
        if not place.host.exists():
            if "c" in options:
                return
            os.close(call.files.open_to_write(path, call.cwd))
        os.utime(place.host, times)

    call.each(_needed(paths), change, "'{}'")
