"""Commands that create, copy, move and remove files: mkdir, rmdir, rm, mv, cp, ln."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from functools import partial
from typing import Protocol

from qnn_sd.virtual_phone.android.file_system import DEFAULT_FOLDER_MODE, os_error
from qnn_sd.virtual_phone.commands.call import Call, CommandError
from qnn_sd.virtual_phone.commands.paths import base_name, join
from qnn_sd.virtual_phone.commands.permissions_and_times import changed_mode


class _TargetAction(Protocol):
    """What mv or cp does with one source."""

    def __call__(self, source: str, target: str) -> None: ...


def mkdir(call: Call) -> None:
    """``mkdir [-p] [-m MODE] FOLDER...``."""
    options, paths = call.options("pm:")
    mode = changed_mode(options["m"], DEFAULT_FOLDER_MODE) if "m" in options else DEFAULT_FOLDER_MODE

    def make(path: str) -> None:
        if "p" in options:
            call.files.make_folders(path, call.cwd, mode)
            return
        resolved = call.files.resolve_writable(path, call.cwd)
        resolved.host_path.mkdir()
        resolved.host_path.chmod(mode)

    call.for_each(call.require(paths), make, "'{}'")


def rmdir(call: Call) -> None:
    """``rmdir FOLDER...``."""
    _, paths = call.options("")
    call.for_each(call.require(paths), lambda path: call.files.resolve_removable(path, call.cwd).host_path.rmdir())


def rm(call: Call) -> None:
    """``rm [-fr] PATH...``."""
    options, paths = call.options("frR")
    recursive = "r" in options or "R" in options

    def remove(path: str) -> None:
        try:
            resolved = call.files.resolve_removable(path, call.cwd)
            status = resolved.host_path.lstat()
        except FileNotFoundError:
            if "f" in options:
                return
            raise
        if not stat.S_ISDIR(status.st_mode):
            resolved.host_path.unlink()
        elif recursive:
            shutil.rmtree(resolved.host_path)
        else:
            raise os_error(errno.EISDIR, path)

    call.for_each(paths if "f" in options else call.require(paths), remove)


def _for_each_target(call: Call, paths: list[str], into: bool, action: _TargetAction) -> None:
    """Calls the action with each source and its target: in the last path if that is a folder, else the last path."""
    *sources, target = call.require(paths, 2)
    folder = into and call.files.is_folder(target, call.cwd)
    if len(sources) > 1 and not folder:
        raise CommandError(f"'{target}' not directory")
    for source in sources:
        destination = join(target, base_name(source)) if folder else target
        call.for_each([source], partial(action, target=destination), "bad '{}'")


def mv(call: Call) -> None:
    """``mv [-fnT] SOURCE... TARGET``."""
    options, paths = call.options("fnT")

    def move(source: str, target: str) -> None:
        origin = call.files.resolve_removable(source, call.cwd)
        destination = call.files.resolve_removable(target, call.cwd)
        origin.host_path.lstat()
        if "n" in options and destination.host_path.exists():
            return
        origin.host_path.rename(destination.host_path)

    _for_each_target(call, paths, "T" not in options, move)


def cp(call: Call) -> None:
    """``cp [-afpPrRT] SOURCE... TARGET``; -a and -p keep times; without -P or -a, links are followed."""
    options, paths = call.options("afpPrRT")
    recursive = any(option in options for option in "arR")
    keep_times = "a" in options or "p" in options
    keep_links = "a" in options or "P" in options

    def copy(source: str, target: str) -> None:
        origin = call.resolve(source, follow=not keep_links)
        status = origin.host_path.lstat()
        if stat.S_ISDIR(status.st_mode):
            if not recursive:
                raise os_error(errno.EISDIR, source)
            names = call.files.list_folder(source, call.cwd)
            call.files.make_folders(target, call.cwd, stat.S_IMODE(status.st_mode))
            inside = call.resolve(target).host_path
            if inside == origin.host_path or origin.host_path in inside.parents:
                raise os_error(errno.EINVAL, source)
            for name in names:
                copy(join(source, name), join(target, name))
        elif stat.S_ISLNK(status.st_mode):
            call.files.resolve_removable(target, call.cwd).host_path.symlink_to(origin.host_path.readlink())
        else:
            _copy_file(call, source, target, stat.S_IMODE(status.st_mode))
        if keep_times:
            times = (status.st_atime_ns, status.st_mtime_ns)
            os.utime(call.resolve(target, follow=False).host_path, ns=times, follow_symlinks=False)

    _for_each_target(call, paths, "T" not in options, copy)


def _copy_file(call: Call, source: str, target: str, mode: int) -> None:
    if call.resolve(source).host_path == call.resolve(target).host_path:
        raise os_error(errno.EINVAL, source)
    descriptor = call.files.open_to_write(target, call.cwd)
    try:
        for chunk in call.read_chunks(source):
            call.files.write(descriptor, chunk)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def ln(call: Call) -> None:
    """``ln -s [-fT] TARGET NAME``; the target can be any text: no link leads out of the phone."""
    options, paths = call.options("sfT")
    if "s" not in options or len(paths) != 2:
        raise CommandError("only ln -s TARGET NAME")
    target, name = paths

    def link(path: str) -> None:
        link_path = path
        if "T" not in options and call.files.is_folder(path, call.cwd):
            link_path = join(path, base_name(target))
        resolved = call.files.resolve_removable(link_path, call.cwd)
        if "f" in options:
            resolved.host_path.unlink(missing_ok=True)
        resolved.host_path.symlink_to(target)

    call.for_each([name], link, f"cannot create symbolic link from '{target}' to '{{}}'")
