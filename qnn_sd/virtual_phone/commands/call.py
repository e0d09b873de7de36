"""What a command of the phone's shell is given."""

from __future__ import annotations

import getopt
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qnn_sd.virtual_phone.files import PhoneFiles, Place
from qnn_sd.virtual_phone.processes import Processes
from qnn_sd.virtual_phone.properties import Battery
from qnn_sd.virtual_phone.threads import Threads

_PIECE = 1024 * 1024


class CommandError(Exception):
    """A command's failure: its message without the command's name, and its exit code."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class AppProcess(Protocol):
    """How the phone runs Java classes."""

    def start_of(
        self, options: Sequence[str], main: str, arguments: Sequence[str], environment: dict[str, str]
    ) -> tuple[list[str], dict[str, str], Path]:
        """The host's command line, environment and working directory for a class of the phone."""


@dataclass(frozen=True)
class Machine:
    """The phone, as commands see it.

    Attributes:
        files: its file tree.
        processes: what runs.
        threads: where work beside the shell runs.
        properties: by name.
        battery: its state.
        app_process: how Java classes run.
    """

    files: PhoneFiles
    processes: Processes
    threads: Threads
    properties: dict[str, str]
    battery: Battery
    app_process: AppProcess


class Call:
    """One call of a command.

    Args:
        name: of the command.
        arguments: after its name.
        machine: the phone.
        cwd: where relative paths start.
        environment: exported variables.
        handles: descriptors of stdin, stdout and stderr.
        shell_pid: of the shell that calls.
        hung_up: set when that shell's stream is gone.
        ignores_hangup: whether what it starts outlives that.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        machine: Machine,
        cwd: str,
        environment: dict[str, str],
        handles: tuple[int, int, int],
        shell_pid: int,
        hung_up: threading.Event,
        ignores_hangup: bool = False,
    ) -> None:
        self.name, self.arguments, self.machine = name, arguments, machine
        self.cwd, self.environment, self.handles = cwd, environment, handles
        self.shell_pid, self.hung_up, self.ignores_hangup = shell_pid, hung_up, ignores_hangup
        self.status = 0

    @property
    def files(self) -> PhoneFiles:
        """The phone's file tree."""
        return self.machine.files

    def run(self, command: Callable[[Call], int | None]) -> int:
        """Runs the command; what it raises becomes its message and exit code."""
        try:
            return command(self) or self.status
        except BrokenPipeError:
            raise
        except CommandError as error:
            self.complain(str(error))
            return error.status
        except getopt.GetoptError as error:
            problem = "Missing argument to" if "requires" in error.msg else "Unknown option"
            self.complain(f"{problem} '{error.opt}' (see \"{self.name} --help\")")
            return 1
        except (ValueError, OverflowError, MemoryError, RecursionError) as error:
            # Numbers and patterns that a shell user may write and Python can't work with.
            self.complain(f"bad argument: {error}")
            return 1
        except OSError as error:
            # What is left is a write that failed: a full partition.
            self.complain(f"write: {error.strerror}")
            return 1

    def options(self, short: str) -> tuple[dict[str, str], list[str]]:
        """Options by their letter, and the other arguments.

        Args:
            short: as getopt takes it, such as ``ln:``; anything else is refused.
        """
        found, rest = getopt.gnu_getopt(self.arguments, short)
        return {name.lstrip("-"): value for name, value in found}, rest

    def out(self, text: str | bytes) -> None:
        """Prints on stdout."""
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        self.files.write(self.handles[1], data)

    def complain(self, message: str) -> None:
        """Prints ``name: message`` on stderr; the command fails."""
        self.status = self.status or 1
        self.files.write(self.handles[2], f"{self.name}: {message}\n".encode("utf-8", "surrogateescape"))

    def each(self, paths: Sequence[str], act: Callable[[str], None], said: str = "{}") -> None:
        """Does something for each path; one that fails gets its line on stderr, and the others go on.

        Args:
            paths: of the phone.
            act: called with each.
            said: how the command spells a path in its messages.
        """
        for path in paths:
            try:
                act(path)
            except BrokenPipeError:
                raise
            except OSError as error:
                self.complain(f"{said.format(path)}: {error.strerror}")

    def place(self, path: str, follow: bool = True) -> Place:
        """Where a path leads.

        Raises:
            OSError: as ``PhoneFiles.place``.
        """
        return self.files.place(path, self.cwd, follow)

    def pieces(self, path: str) -> Iterator[bytes]:
        """A file's bytes (of stdin for ``-``), up to 1 MiB at a time.

        Raises:
            OSError: it can't be read.
        """
        handle = os.dup(self.handles[0]) if path == "-" else self.files.open_to_read(path, self.cwd)
        try:
            while piece := os.read(handle, _PIECE):
                yield piece
        finally:
            os.close(handle)
