"""One call of a command of the phone's shell: its arguments, its streams, and what most commands need."""

from __future__ import annotations

import getopt
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qnn_sd.virtual_phone.android.device import Device
from qnn_sd.virtual_phone.android.file_system import FileSystem, ResolvedPath
from qnn_sd.virtual_phone.android.processes import StandardStreams

_CHUNK_BYTES = 1024 * 1024


class CommandError(Exception):
    """A command failed: the message without the command's name, and the exit code."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Caller:
    """The shell that calls a command.

    Attributes:
        pid: its process id.
        hung_up: set when it hangs up.
        ignores_hangup: whether a program that the command starts goes on then.
    """

    pid: int
    hung_up: threading.Event
    ignores_hangup: bool


class Call:
    """One call of a command.

    Args:
        name: of the command.
        arguments: the words after its name.
        device: the phone.
        cwd: working directory, where relative paths start.
        environment: the exported variables.
        stdio: descriptors of stdin, stdout and stderr.
        caller: the calling shell.

    Attributes:
        status: the exit code, unless the command returns another one.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        device: Device,
        cwd: str,
        environment: dict[str, str],
        stdio: StandardStreams,
        caller: Caller,
    ) -> None:
        self.name, self.arguments, self.device = name, arguments, device
        self.cwd, self.environment, self.stdio = cwd, environment, stdio
        self.caller = caller
        self.status = 0

    @property
    def files(self) -> FileSystem:
        """The phone's file system."""
        return self.device.files

    def run(self, command: Callable[[Call], int | None]) -> int:
        """Runs the command; returns its exit code. Its errors become messages on stderr."""
        try:
            return command(self) or self.status
        except BrokenPipeError:
            raise
        except CommandError as error:
            self.print_error(str(error))
            return error.status
        except getopt.GetoptError as error:
            problem = "Missing argument to" if "requires" in error.msg else "Unknown option"
            self.print_error(f"{problem} '{error.opt}' (see \"{self.name} --help\")")
            return 1
        except (ValueError, OverflowError, MemoryError, RecursionError) as error:
            # Numbers and patterns of the user that Python can't work with.
            self.print_error(f"bad argument: {error}")
            return 1
        except OSError as error:
            # The other errors are handled: this is a failed write, to a full partition.
            self.print_error(f"write: {error.strerror}")
            return 1

    def options(self, short: str) -> tuple[dict[str, str], list[str]]:
        """Options by their letter, and the other arguments.

        Args:
            short: the options, as getopt takes them, such as ``ln:``.

        Raises:
            GetoptError: an option is unknown.
        """
        found, rest = getopt.gnu_getopt(self.arguments, short)
        return {name.lstrip("-"): value for name, value in found}, rest

    def write(self, text: str | bytes) -> None:
        """Writes to stdout."""
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        self.files.write(self.stdio[1], data)

    def print_error(self, message: str) -> None:
        """Writes ``name: message`` to stderr; the command will fail."""
        self.status = self.status or 1
        self.files.write(self.stdio[2], f"{self.name}: {message}\n".encode("utf-8", "surrogateescape"))

    def for_each(self, paths: Sequence[str], action: Callable[[str], None], message: str = "{}") -> None:
        """Calls an action for each path; a failure is written to stderr, and the next path follows.

        Args:
            paths: on the phone.
            action: called with each.
            message: format of the path in a failure's message.
        """
        for path in paths:
            try:
                action(path)
            except BrokenPipeError:
                raise
            except OSError as error:
                self.print_error(f"{message.format(path)}: {error.strerror}")

    def require(self, paths: list[str], count: int = 1) -> list[str]:
        """The paths, if there are enough.

        Raises:
            CommandError: there are fewer than ``count``.
        """
        if len(paths) < count:
            raise CommandError(f"Needs {count} argument{'s' if count > 1 else ''}")
        return paths

    def resolve(self, path: str, follow: bool = True) -> ResolvedPath:
        """Resolves a path, relative to the working directory.

        Raises:
            OSError: as ``FileSystem.resolve``.
        """
        return self.files.resolve(path, self.cwd, follow)

    def read_chunks(self, path: str) -> Iterator[bytes]:
        """The content of a file (of stdin for ``-``), up to 1 MiB at a time.

        Raises:
            OSError: it can't be read.
        """
        descriptor = os.dup(self.stdio[0]) if path == "-" else self.files.open_to_read(path, self.cwd)
        try:
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                yield chunk
        finally:
            os.close(descriptor)
