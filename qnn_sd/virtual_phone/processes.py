"""The processes that a virtual phone runs: nothing but Java virtual machines, and the shells that are at work."""

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
# A worker that is told to end has this long before it is killed.
_GRACE_SECONDS = 2.0
# Becomes the program, which inherits that SIGHUP is ignored.
_NOHUP = ("/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh")


@dataclass(frozen=True)
class Entry:
    """A line of ``ps``.

    Attributes:
        pid: the process' id, on the phone as on the host.
        parent: of its shell, or 1.
        name: as the phone calls it.
        arguments: its command line on the phone.
        user: whose it is.
    """

    pid: int
    parent: int
    name: str
    arguments: str
    user: str = "shell"


class Processes:
    """What runs; all of it ends with ``stop``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, tuple[Entry, subprocess.Popen[bytes]]] = {}
        self._shells: dict[int, Callable[[], None]] = {}
        self._shell_pids = itertools.count(_FIRST_SHELL_PID)
        self._stopped = False

    def add_shell(self, hang_up: Callable[[], None]) -> int:
        """Notes a shell; ``hang_up`` ends it. Returns its id."""
        with self._lock:
            pid = next(self._shell_pids)
            self._shells[pid] = hang_up
            stopped = self._stopped
        if stopped:
            hang_up()
        return pid

    def remove_shell(self, pid: int) -> None:
        """A shell is over."""
        with self._lock:
            self._shells.pop(pid, None)

    def run(
        self,
        name: str,
        arguments: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        handles: tuple[int, int, int],
        parent: int,
        hung_up: Callable[[], bool],
        ignores_hangup: bool = False,
    ) -> int:
        """Runs a program of the host to its end; returns its exit code, 128 + N when signal N killed it.

        Args:
            name: what the phone calls it.
            arguments: its command line on the phone.
            command: what is executed on the host.
            environment: all of it.
            cwd: on the host.
            handles: descriptors of stdin, stdout and stderr.
            parent: its shell.
            hung_up: whether that shell is gone already.
            ignores_hangup: whether it goes on when its shell hangs up, as nohup's commands do.

        Raises:
            OSError: it can't be started.
        """
        stdin, stdout, stderr = handles
        with self._lock:
            if self._stopped or hung_up():
                return 128 + signal.SIGHUP
            child = subprocess.Popen(
                [*_NOHUP, *command] if ignores_hangup else command,
                env=dict(environment), cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr,
                # Ctrl-C in the phone's own terminal is the phone's to handle, not the worker's.
                start_new_session=True,
            )  # fmt: skip
            self._running[child.pid] = (Entry(child.pid, parent, name, arguments), child)
        try:
            code = child.wait()
        finally:
            with self._lock:
                del self._running[child.pid]
        return code if code >= 0 else 128 - code

    def entries(self) -> list[Entry]:
        """What runs now, by id; the phone's own adbd and its shells too."""
        with self._lock:
            programs = [entry for entry, _ in self._running.values()]
            shells = [Entry(pid, os.getpid(), "sh", "sh") for pid in self._shells]
        return sorted([Entry(os.getpid(), 1, "adbd", "adbd"), *programs, *shells], key=lambda entry: entry.pid)

    def send_signal(self, pid: int, number: int) -> None:
        """Signals one of the phone's processes.

        Raises:
            ProcessLookupError: there is none of that id.
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
        """Signals what a shell runs."""
        with self._lock:
            for entry, child in self._running.values():
                if entry.parent == parent:
                    child.send_signal(number)

    def kill_programs(self) -> int:
        """Kills every worker with SIGKILL; returns how many there were."""
        with self._lock:
            for _, child in self._running.values():
                child.kill()
            return len(self._running)

    def stop(self) -> None:
        """Ends everything; nothing starts any more."""
        with self._lock:
            self._stopped = True
            shells, running = list(self._shells.values()), [child for _, child in self._running.values()]
        for hang_up in shells:
            hang_up()
        for child in running:
            # What ignores the hanging up has to be told.
            child.terminate()
        for child in running:
            try:
                child.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
