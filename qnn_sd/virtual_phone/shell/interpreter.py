"""Runs scripts. Every command is one of ours (``commands/``); a program of the host is never looked for."""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import PurePosixPath

from qnn_sd.virtual_phone.commands import COMMANDS
from qnn_sd.virtual_phone.commands.call import Call, CommandError, Machine
from qnn_sd.virtual_phone.shell.expansion import expand, expand_to_text
from qnn_sd.virtual_phone.shell.parser import parse
from qnn_sd.virtual_phone.shell.syntax import (
    If,
    Part,
    Pipeline,
    Redirection,
    Script,
    ShellSyntaxError,
    Simple,
)

# stdin, stdout and stderr.
Handles = tuple[int, int, int]

SYNTAX_ERROR = 2
NOT_FOUND = 127
_HUNG_UP = 128 + signal.SIGHUP
_BROKEN_PIPE = 128 + signal.SIGPIPE
_MOST_OUTPUT = 16 * 1024 * 1024
_BIN = ("/system/bin", "/bin", "/vendor/bin")


class _Exit(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Shell:
    """One shell, with its variables and folder.

    Args:
        machine: the phone.
        environment: variables, all exported.
        cwd: absolute path of the phone.
    """

    def __init__(self, machine: Machine, environment: dict[str, str], cwd: str = "/") -> None:
        self._machine = machine
        self._variables, self._exported = dict(environment), set(environment)
        self._cwd = cwd
        self._status = 0
        self._hung_up = threading.Event()
        self.pid = machine.processes.add_shell(self.hang_up)

    def hang_up(self) -> None:
        """Ends the shell and what it runs, as SIGHUP does; may be called from any thread."""
        self._hung_up.set()
        self._machine.processes.signal_children(self.pid, signal.SIGHUP)

    def close(self) -> None:
        """The shell is over."""
        self._machine.processes.remove_shell(self.pid)

    def run_text(self, text: str, handles: Handles) -> int:
        """Runs a script; returns its exit code (2 if it can't be read).

        Args:
            text: of the script.
            handles: descriptors of stdin, stdout and stderr; they stay open.
        """
        try:
            return self._run(parse(text), handles)
        except ShellSyntaxError as error:
            with suppress(OSError):
                os.write(handles[2], f"/system/bin/sh: syntax error: {error}\n".encode("utf-8", "surrogateescape"))
            self._status = SYNTAX_ERROR
            return SYNTAX_ERROR
        except _Exit as exit_:
            return exit_.status

    def run_lines(self, handles: Handles, prompt: str = "") -> int:
        """Runs what stdin brings, a line at a time, up to its end or ``exit``."""
        with open(handles[0], "rb", closefd=False) as lines:
            while not self._hung_up.is_set():
                if prompt:
                    os.write(handles[1], prompt.encode())
                line = lines.readline()
                if not line:
                    break
                try:
                    script = parse(line.decode("utf-8", "surrogateescape"))
                    self._run(script, handles)
                except ShellSyntaxError as error:
                    os.write(handles[2], f"/system/bin/sh: syntax error: {error}\n".encode("utf-8", "surrogateescape"))
                    self._status = SYNTAX_ERROR
                except _Exit as exit_:
                    return exit_.status
        return self._status

    def _run(self, script: Script, handles: Handles) -> int:
        for link in script:
            if (link.when == "&&" and self._status) or (link.when == "||" and not self._status):
                continue
            self._status = self._run_pipeline(link.pipeline, handles)
        if not script:
            self._status = 0
        return self._status

    def _run_pipeline(self, pipeline: Pipeline, handles: Handles) -> int:
        if len(pipeline.commands) == 1:
            status = self._run_command(pipeline.commands[0], handles)
        else:
            status = self._run_stages(pipeline, handles)
        return int(not status) if pipeline.negated else status

    def _run_stages(self, pipeline: Pipeline, handles: Handles) -> int:
        """Each stage in a thread and a shell of its own; the last one's status counts."""
        statuses: list[int] = [0] * len(pipeline.commands)
        stages = []
        stdin = os.dup(handles[0])
        for index, command in enumerate(pipeline.commands):
            if index + 1 < len(pipeline.commands):
                next_stdin, stdout = os.pipe()
            else:
                next_stdin, stdout = -1, os.dup(handles[1])
            stages.append((index, command, stdin, stdout))
            stdin = next_stdin

        def work(index: int, command: Simple | If, stdin: int, stdout: int) -> None:
            child = self._child()
            try:
                statuses[index] = child._in_subshell(lambda: child._run_command(command, (stdin, stdout, handles[2])))
            finally:
                os.close(stdin)
                os.close(stdout)

        threads = [self._machine.threads.start("stage", lambda s=stage: work(*s)) for stage in stages]  # type: ignore[misc]
        for thread in threads:
            thread.join()
        return statuses[-1]

    def _child(self) -> Shell:
        """A copy whose changes stay its own, and that hangs up with this one."""
        child = copy.copy(self)
        child._variables, child._exported = dict(self._variables), set(self._exported)
        return child

    def _in_subshell(self, run: Callable[[], int]) -> int:
        try:
            return run()
        except _Exit as exit_:
            return exit_.status

    def _run_command(self, command: Simple | If, handles: Handles) -> int:
        if isinstance(command, If):
            for condition, body in command.branches:
                if self._run(condition, handles) == 0:
                    return self._run(body, handles)
            self._status = 0
            return self._run(command.otherwise, handles)
        if self._hung_up.is_set():
            raise _Exit(_HUNG_UP)

        def value(part: Part) -> str:
            return self._value(part, handles)

        with ExitStack() as opened:
            assigned = {name: expand_to_text(word, value) for name, word in command.assignments}
            arguments = expand(command.words, value, self._machine.files, self._cwd)
            try:
                redirected = self._redirect(command.redirections, handles, value, opened)
            except CommandError as error:
                self._say(handles, str(error))
                return 1
            if not arguments:
                self._variables.update(assigned)
                return self._status if any(part.kind == "command" for _, w in command.assignments for part in w) else 0
            try:
                return self._call(arguments, assigned, redirected)
            except BrokenPipeError:
                return _BROKEN_PIPE

    def _say(self, handles: Handles, message: str) -> None:
        with suppress(OSError):
            os.write(handles[2], f"/system/bin/sh: {message}\n".encode("utf-8", "surrogateescape"))

    def _value(self, part: Part, handles: Handles) -> str:
        if part.kind == "command":
            return self._output(part.script, handles)
        if part.text == "?":
            return str(self._status)
        if part.text == "$":
            return str(self.pid)
        return self._variables.get(part.text, "")

    def _output(self, script: Script, handles: Handles) -> str:
        """What a command prints, for ``$(...)``."""
        reader, writer = os.pipe()
        child = self._child()

        def work() -> None:
            try:
                self._status = child._in_subshell(lambda: child._run(script, (handles[0], writer, handles[2])))
            finally:
                os.close(writer)

        thread = self._machine.threads.start("substitution", work)
        with open(reader, "rb") as source:  # noqa: PTH123 (a descriptor)
            printed = source.read(_MOST_OUTPUT)
        thread.join()
        return printed.decode("utf-8", "surrogateescape").rstrip("\n")

    def _redirect(
        self,
        redirections: tuple[Redirection, ...],
        handles: Handles,
        value: Callable[[Part], str],
        opened: ExitStack,
    ) -> Handles:
        current = list(handles)
        files = self._machine.files
        for redirection in redirections:
            target = expand_to_text(redirection.target, value)
            if redirection.how == ">&":
                current[redirection.descriptor] = current[int(target)]
                continue
            try:
                if target == "/dev/null":
                    handle = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                elif redirection.how == "<":
                    handle = files.open_to_read(target, self._cwd)
                else:
                    handle = files.open_to_write(target, self._cwd, append=redirection.how == ">>")
            except OSError as error:
                verb = "open" if redirection.how == "<" else "create"
                raise CommandError(f"can't {verb} {target}: {error.strerror}") from error
            opened.callback(os.close, handle)
            current[redirection.descriptor] = handle
        return current[0], current[1], current[2]

    def _call(self, arguments: list[str], assigned: dict[str, str], handles: Handles) -> int:
        name, rest = arguments[0], arguments[1:]
        builtins = {"cd": self._cd, "exit": self._exit, "export": self._export, "unset": self._unset}
        if name in builtins:
            self._variables.update(assigned)
            try:
                return builtins[name](rest)
            except CommandError as error:
                self._say(handles, f"{name}: {error}")
                return error.status
        if name == "exec" and rest:
            raise _Exit(self._call(rest, assigned, handles))
        if name == "toybox" and rest:
            return self._call(rest, assigned, handles)
        if name == "nohup" and rest:
            return self._execute(rest[0], rest[1:], assigned, handles, ignores_hangup=True)
        return self._execute(name, rest, assigned, handles)

    def _execute(
        self, name: str, arguments: list[str], assigned: dict[str, str], handles: Handles, ignores_hangup: bool = False
    ) -> int:
        path = PurePosixPath(name)
        plain = path.name if str(path.parent) in _BIN else name
        environment = {key: self._variables[key] for key in self._exported if key in self._variables} | assigned
        if plain == "sh":
            return self._sh(arguments, environment, handles)
        command = COMMANDS.get(plain)
        if command is None:
            self._say(handles, f"{name}: inaccessible or not found")
            return NOT_FOUND
        call = Call(
            plain, arguments, self._machine, self._cwd, environment, handles, self.pid, self._hung_up, ignores_hangup
        )
        return call.run(command)

    def _sh(self, arguments: list[str], environment: dict[str, str], handles: Handles) -> int:
        if len(arguments) != 2 or arguments[0] != "-c":
            self._say(handles, "sh: only sh -c SCRIPT")
            return SYNTAX_ERROR
        child = self._child()
        child._variables, child._exported = dict(environment), set(environment)
        return child.run_text(arguments[1], handles)

    def _cd(self, arguments: list[str]) -> int:
        target = arguments[0] if arguments else self._variables.get("HOME", "/")
        try:
            place = self._machine.files.place(target, self._cwd)
            if not place.host.is_dir():
                place.host.lstat()
                raise NotADirectoryError(20, "Not a directory")
        except OSError as error:
            raise CommandError(f"{target}: {error.strerror}", status=2) from error
        self._cwd = place.phone
        self._variables["PWD"] = place.phone
        return 0

    def _exit(self, arguments: list[str]) -> int:
        if arguments and not arguments[0].isdecimal():
            raise CommandError(f"{arguments[0]}: bad number")
        raise _Exit(int(arguments[0]) & 0xFF if arguments else self._status)

    def _export(self, arguments: list[str]) -> int:
        for argument in arguments:
            name, equals, value = argument.partition("=")
            if equals:
                self._variables[name] = value
            self._exported.add(name)
        return 0

    def _unset(self, arguments: list[str]) -> int:
        for name in arguments:
            self._variables.pop(name, None)
        return 0
