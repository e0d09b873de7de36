"""The processes of a virtual phone: Java virtual machines, and the shells that are running."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Shells are threads here; their ids start past Linux's largest (PID_MAX_LIMIT), so no process has the same.
_FIRST_SHELL_PID = 4_194_305
# Time between SIGTERM and SIGKILL.
_TERMINATION_SECONDS = 2.0
# Ignores SIGHUP, then becomes the program, which inherits that.
_NOHUP = ("/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh")

# Descriptors of stdin, stdout and stderr.
StandardStreams = tuple[int, int, int]


@dataclass(frozen=True)
class HostCommand:
    """A program of the host that runs as a process of the phone.

    Attributes:
        arguments: the command line, the program first.
        environment: all variables that it gets.
        folder: its working directory.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path


@dataclass(frozen=True)
class ProcessEntry:
    """A row of ``ps``.

    Attributes:
        pid: the process id, the same on the phone and on the host.
        parent: the process id of its shell, or 1.
        name: the name that the phone shows.
        arguments: its command line on the phone.
        user: its owner.
    """

    pid: int
    parent: int
    name: str
    arguments: str
    user: str = "shell"


class ProcessTable:
    """All running processes; ``stop`` ends them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, tuple[ProcessEntry, subprocess.Popen[bytes]]] = {}
        self._shells: dict[int, Callable[[], None]] = {}
        self._shell_pids = itertools.count(_FIRST_SHELL_PID)
        self._stopped = False

    def add_shell(self, hang_up: Callable[[], None]) -> int:
        """Registers a shell, which ``hang_up`` ends; returns its process id."""
        with self._lock:
            pid = next(self._shell_pids)
            self._shells[pid] = hang_up
            stopped = self._stopped
        if stopped:
            hang_up()
        return pid

    def remove_shell(self, pid: int) -> None:
        """Removes a shell that has ended."""
        with self._lock:
            self._shells.pop(pid, None)

    def run(
        self,
        name: str,
        arguments: str,
        command: HostCommand,
        stdio: StandardStreams,
        parent: int,
        hung_up: Callable[[], bool],
        ignores_hangup: bool = False,
    ) -> int:
        """Runs a program of the host to its end; returns its exit code, 128 + N when signal N killed it.

        Args:
            name: the name that the phone shows.
            arguments: its command line on the phone.
            command: what is executed on the host.
            stdio: descriptors of stdin, stdout and stderr.
            parent: process id of its shell.
            hung_up: whether that shell has ended already.
            ignores_hangup: whether it goes on when its shell hangs up, as the commands of nohup do.

        Raises:
            OSError: it can't be started.
        """
        stdin, stdout, stderr = stdio
        with self._lock:
            if self._stopped or hung_up():
                return 128 + signal.SIGHUP
            child = subprocess.Popen(
                [*_NOHUP, *command.arguments] if ignores_hangup else command.arguments,
                env=dict(command.environment), cwd=command.folder, stdin=stdin, stdout=stdout, stderr=stderr,
                # Ctrl-C in the phone's own terminal is for the phone, not for the worker.
                start_new_session=True,
            )  # fmt: skip
            self._running[child.pid] = (ProcessEntry(child.pid, parent, name, arguments), child)
        try:
            code = child.wait()
        finally:
            with self._lock:
                del self._running[child.pid]
        return code if code >= 0 else 128 - code

    def entries(self) -> list[ProcessEntry]:
        """The running processes by id, adbd and its shells too."""
        with self._lock:
            programs = [entry for entry, _ in self._running.values()]
            shells = [ProcessEntry(pid, os.getpid(), "sh", "sh") for pid in self._shells]
        return sorted([ProcessEntry(os.getpid(), 1, "adbd", "adbd"), *programs, *shells], key=lambda entry: entry.pid)

    def send_signal(self, pid: int, number: int) -> None:
        """Sends a signal to one of the phone's processes.

        Raises:
            ProcessLookupError: there is no such process.
            PermissionError: it isn't the shell user's.
        """
        if pid == os.getpid():
            raise PermissionError
        with self._lock:
            running = self._running.get(pid)
            hang_up = self._shells.get(pid)
            if running is not None:
                running[1].send_signal(number)
                return
        if hang_up is None:
            raise ProcessLookupError
        if number:
            hang_up()

    def signal_children(self, parent: int, number: int) -> None:
        """Sends a signal to the programs that a shell runs."""
        with self._lock:
            for entry, child in self._running.values():
                if entry.parent == parent:
                    child.send_signal(number)

    def kill_programs(self, number: int = signal.SIGKILL) -> int:
        """Ends every program with a signal; returns how many there were."""
        with self._lock:
            for _, child in self._running.values():
                child.send_signal(number)
            return len(self._running)

    def stop(self) -> None:
        """Ends all processes; none can be started afterwards."""
        with self._lock:
            self._stopped = True
            shells, running = list(self._shells.values()), [child for _, child in self._running.values()]
        for hang_up in shells:
            hang_up()
        for child in running:
            # SIGHUP may be ignored.
            child.terminate()
        for child in running:
            try:
                child.wait(_TERMINATION_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
