"""Pipes and redirections of commands' standard streams (POSIX.1-2017, Shell Command Language, section 2.7)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack

from qnn_sd.virtual_phone.android.file_system import FileSystem
from qnn_sd.virtual_phone.android.processes import StandardStreams
from qnn_sd.virtual_phone.commands.call import CommandError
from qnn_sd.virtual_phone.shell.syntax import Redirection


def open_pipeline(count: int, stdio: StandardStreams) -> list[tuple[int, int]]:
    """New descriptors of stdin and stdout for each command of a pipeline; the first and the last copy stdio's."""
    ends = []
    stdin = os.dup(stdio[0])
    for _ in range(count - 1):
        next_stdin, stdout = os.pipe()
        ends.append((stdin, stdout))
        stdin = next_stdin
    return [*ends, (stdin, os.dup(stdio[1]))]


def redirect(
    redirections: Iterable[tuple[Redirection, str]],
    stdio: StandardStreams,
    files: FileSystem,
    cwd: str,
    opened: ExitStack,
) -> StandardStreams:
    """The standard streams after some redirections.

    Args:
        redirections: each with its target, expanded.
        stdio: the descriptors before them.
        files: the phone's file system.
        cwd: where relative targets start.
        opened: closes the files.

    Raises:
        CommandError: a file can't be opened.
    """
    streams = list(stdio)
    for redirection, target in redirections:
        if redirection.operator == ">&":
            streams[redirection.descriptor] = streams[int(target)]
            continue
        try:
            if target == "/dev/null":
                descriptor = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            elif redirection.operator == "<":
                descriptor = files.open_to_read(target, cwd)
            else:
                descriptor = files.open_to_write(target, cwd, append=redirection.operator == ">>")
        except OSError as error:
            verb = "open" if redirection.operator == "<" else "create"
            raise CommandError(f"can't {verb} {target}: {error.strerror}") from error
        opened.callback(os.close, descriptor)
        streams[redirection.descriptor] = descriptor
    return streams[0], streams[1], streams[2]
