"""The shell's state, and the builtin commands that change it: cd, exit, export, unset."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from qnn_sd.virtual_phone.android.file_system import FileSystem, os_error
from qnn_sd.virtual_phone.commands.call import CommandError


class ShellExit(Exception):
    """Ends the shell with an exit code."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class ShellState:
    """What a command can change in its shell.

    Attributes:
        files: the phone's file system.
        variables: by name.
        exported: the names of those that commands get.
        cwd: the working directory, an absolute path of the phone.
        status: the exit code of the last command.
    """

    files: FileSystem
    variables: dict[str, str]
    exported: set[str]
    cwd: str
    status: int = 0

    def copy(self) -> ShellState:
        """The state of a subshell."""
        return replace(self, variables=dict(self.variables), exported=set(self.exported))

    def exported_variables(self) -> dict[str, str]:
        """The environment of a command."""
        return {name: self.variables[name] for name in self.exported if name in self.variables}


def _cd(state: ShellState, arguments: list[str]) -> int:
    target = arguments[0] if arguments else state.variables.get("HOME", "/")
    try:
        folder = state.files.resolve(target, state.cwd)
        if not folder.host_path.is_dir():
            folder.host_path.lstat()
            raise os_error(errno.ENOTDIR, target)
    except OSError as error:
        raise CommandError(f"{target}: {error.strerror}", status=2) from error
    state.cwd = state.variables["PWD"] = folder.device_path
    return 0


def _exit(state: ShellState, arguments: list[str]) -> int:
    if arguments and not arguments[0].isdecimal():
        raise CommandError(f"{arguments[0]}: bad number")
    raise ShellExit(int(arguments[0]) & 0xFF if arguments else state.status)


def _export(state: ShellState, arguments: list[str]) -> int:
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals:
            state.variables[name] = value
        state.exported.add(name)
    return 0


def _unset(state: ShellState, arguments: list[str]) -> int:
    for name in arguments:
        state.variables.pop(name, None)
    return 0


BUILTINS: Mapping[str, Callable[[ShellState, list[str]], int]] = {
    "cd": _cd,
    "exit": _exit,
    "export": _export,
    "unset": _unset,
}
