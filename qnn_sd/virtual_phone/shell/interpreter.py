"""Runs scripts. Every command is one of ``commands/``; a program of the host is never looked for."""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import PurePosixPath

from qnn_sd.virtual_phone.android.device import Device
from qnn_sd.virtual_phone.android.processes import StandardStreams
from qnn_sd.virtual_phone.commands import COMMANDS
from qnn_sd.virtual_phone.commands.call import Call, Caller, CommandError
from qnn_sd.virtual_phone.shell.builtins import BUILTINS, ShellExit, ShellState
from qnn_sd.virtual_phone.shell.expansion import expand, expand_to_text
from qnn_sd.virtual_phone.shell.parser import parse
from qnn_sd.virtual_phone.shell.redirection import open_pipeline, redirect
from qnn_sd.virtual_phone.shell.syntax import If, Part, Pipeline, Script, ShellSyntaxError, Simple

SYNTAX_ERROR = 2
NOT_FOUND = 127
# Of one command substitution, bytes.
_MAX_SUBSTITUTION = 16 * 1024 * 1024
_BIN = ("/system/bin", "/bin", "/vendor/bin")


class Shell:
    """One shell, with its variables and working directory.

    Args:
        device: the phone.
        environment: variables, all exported.
        cwd: an absolute path of the phone.
    """

    def __init__(self, device: Device, environment: dict[str, str], cwd: str = "/") -> None:
        self._device = device
        self._state = ShellState(device.files, dict(environment), set(environment), cwd)
        self._hung_up = threading.Event()
        self.pid = device.processes.add_shell(self.hang_up)

    def hang_up(self) -> None:
        """Ends the shell and its programs, as SIGHUP does; may be called from any thread."""
        self._hung_up.set()
        self._device.processes.signal_children(self.pid, signal.SIGHUP)

    def close(self) -> None:
        """Removes the shell from the process table, after its end."""
        self._device.processes.remove_shell(self.pid)

    def run_text(self, text: str, stdio: StandardStreams) -> int:
        """Runs a script; returns its exit code (2 for a syntax error).

        Args:
            text: the script.
            stdio: descriptors of stdin, stdout and stderr; they stay open.
        """
        try:
            return self._run(parse(text), stdio)
        except ShellSyntaxError as error:
            with suppress(OSError):
                self._report_syntax_error(error, stdio)
            return SYNTAX_ERROR
        except ShellExit as exit_:
            return exit_.status

    def run_lines(self, stdio: StandardStreams, prompt: str = "") -> int:
        """Runs the commands from stdin, a line at a time, up to its end or ``exit``; returns the last exit code."""
        with open(stdio[0], "rb", closefd=False) as lines:
            while not self._hung_up.is_set():
                if prompt:
                    os.write(stdio[1], prompt.encode())
                line = lines.readline()
                if not line:
                    break
                try:
                    self._run(parse(line.decode("utf-8", "surrogateescape")), stdio)
                except ShellSyntaxError as error:
                    self._report_syntax_error(error, stdio)
                except ShellExit as exit_:
                    return exit_.status
        return self._state.status

    def _report_syntax_error(self, error: ShellSyntaxError, stdio: StandardStreams) -> None:
        self._state.status = SYNTAX_ERROR
        _write_error(stdio, f"syntax error: {error}")

    def _run(self, script: Script, stdio: StandardStreams) -> int:
        state = self._state
        for link in script:
            if (link.when == "&&" and state.status) or (link.when == "||" and not state.status):
                continue
            state.status = self._run_pipeline(link.pipeline, stdio)
        if not script:
            state.status = 0
        return state.status

    def _run_pipeline(self, pipeline: Pipeline, stdio: StandardStreams) -> int:
        if len(pipeline.commands) == 1:
            status = self._run_command(pipeline.commands[0], stdio)
        else:
            status = self._run_stages(pipeline, stdio)
        return int(not status) if pipeline.negated else status

    def _run_stages(self, pipeline: Pipeline, stdio: StandardStreams) -> int:
        """Runs each command in a thread and a subshell; the last one's status counts."""
        statuses: list[int] = [0] * len(pipeline.commands)

        def run_stage(index: int, stdin: int, stdout: int) -> None:
            command, streams = pipeline.commands[index], (stdin, stdout, stdio[2])
            try:
                statuses[index] = self._in_subshell(lambda shell: shell._run_command(command, streams))
            finally:
                os.close(stdin)
                os.close(stdout)

        start = self._device.threads.start
        ends = open_pipeline(len(pipeline.commands), stdio)
        threads = [start("stage", partial(run_stage, index, *pair)) for index, pair in enumerate(ends)]
        for thread in threads:
            thread.join()
        return statuses[-1]

    def _in_subshell(self, run: Callable[[Shell], int]) -> int:
        """Runs something in a copy whose state is its own, and which hangs up with this shell."""
        subshell = copy.copy(self)
        subshell._state = self._state.copy()
        try:
            return run(subshell)
        except ShellExit as exit_:
            return exit_.status

    def _run_command(self, command: Simple | If, stdio: StandardStreams) -> int:
        if isinstance(command, If):
            for condition, body in command.branches:
                if self._run(condition, stdio) == 0:
                    return self._run(body, stdio)
            self._state.status = 0
            return self._run(command.otherwise, stdio)
        if self._hung_up.is_set():
            raise ShellExit(128 + signal.SIGHUP)
        return self._run_simple(command, stdio)

    def _run_simple(self, command: Simple, stdio: StandardStreams) -> int:
        state = self._state

        def value(part: Part) -> str:
            return self._value(part, stdio)

        with ExitStack() as opened:
            assigned = {name: expand_to_text(word, value) for name, word in command.assignments}
            arguments = expand(command.words, value, state.files, state.cwd)
            targets = ((each, expand_to_text(each.target, value)) for each in command.redirections)
            try:
                redirected = redirect(targets, stdio, state.files, state.cwd, opened)
            except CommandError as error:
                self._complain(stdio, str(error))
                return 1
            if not arguments:
                state.variables.update(assigned)
                substituted = any(part.kind == "command" for _, word in command.assignments for part in word)
                return state.status if substituted else 0
            try:
                return self._call(arguments, assigned, redirected)
            except BrokenPipeError:
                return 128 + signal.SIGPIPE

    def _complain(self, stdio: StandardStreams, message: str) -> None:
        with suppress(OSError):
            _write_error(stdio, message)

    def _value(self, part: Part, stdio: StandardStreams) -> str:
        """The value of a variable or of a command substitution."""
        if part.kind == "command":
            return self._substitute(part.script, stdio)
        if part.text == "?":
            return str(self._state.status)
        if part.text == "$":
            return str(self.pid)
        return self._state.variables.get(part.text, "")

    def _substitute(self, script: Script, stdio: StandardStreams) -> str:
        """The output of ``$(...)``."""
        reader, writer = os.pipe()

        def work() -> None:
            try:
                self._state.status = self._in_subshell(lambda shell: shell._run(script, (stdio[0], writer, stdio[2])))
            finally:
                os.close(writer)

        thread = self._device.threads.start("substitution", work)
        with open(reader, "rb") as source:  # noqa: PTH123 (a descriptor)
            output = source.read(_MAX_SUBSTITUTION)
        thread.join()
        return output.decode("utf-8", "surrogateescape").rstrip("\n")

    def _call(self, arguments: list[str], assigned: dict[str, str], stdio: StandardStreams) -> int:
        name, rest = arguments[0], arguments[1:]
        if name in BUILTINS:
            self._state.variables.update(assigned)
            try:
                return BUILTINS[name](self._state, rest)
            except CommandError as error:
                self._complain(stdio, f"{name}: {error}")
                return error.status
        if name == "exec" and rest:
            raise ShellExit(self._call(rest, assigned, stdio))
        if name == "toybox" and rest:
            return self._call(rest, assigned, stdio)
        if name == "nohup" and rest:
            return self._execute(rest, assigned, stdio, ignores_hangup=True)
        return self._execute(arguments, assigned, stdio)

    def _execute(
        self, words: list[str], assigned: dict[str, str], stdio: StandardStreams, ignores_hangup: bool = False
    ) -> int:
        name, *arguments = words
        path = PurePosixPath(name)
        command_name = path.name if str(path.parent) in _BIN else name
        environment = self._state.exported_variables() | assigned
        if command_name == "sh":
            return self._run_sh(arguments, environment, stdio)
        command = COMMANDS.get(command_name)
        if command is None:
            self._complain(stdio, f"{name}: inaccessible or not found")
            return NOT_FOUND
        caller = Caller(self.pid, self._hung_up, ignores_hangup)
        return Call(command_name, arguments, self._device, self._state.cwd, environment, stdio, caller).run(command)

    def _run_sh(self, arguments: list[str], environment: dict[str, str], stdio: StandardStreams) -> int:
        if len(arguments) != 2 or arguments[0] != "-c":
            self._complain(stdio, "sh: only sh -c SCRIPT")
            return SYNTAX_ERROR

        def run(shell: Shell) -> int:
            shell._state.variables, shell._state.exported = dict(environment), set(environment)
            return shell.run_text(arguments[1], stdio)

        return self._in_subshell(run)


def _write_error(stdio: StandardStreams, message: str) -> None:
    os.write(stdio[2], f"/system/bin/sh: {message}\n".encode("utf-8", "surrogateescape"))
