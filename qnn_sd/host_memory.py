"""Memory of this machine: what is left for a program, and what this one holds. Linux's ``/proc`` and cgroups."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
# Walking through all children is cheap, but not free.
_LOOK_EVERY_SECONDS = 1.0


def _kilobytes(text: str, name: str) -> int | None:
    """A value of ``/proc/meminfo`` or ``/proc/<pid>/status``, in bytes."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None


def available_memory(proc: Path = _PROC, cgroup: Path = _CGROUP) -> tuple[int, str] | None:
    """Bytes that a program may still take, and what limits them: the machine, its container or ``ulimit -v``.

    Args:
        proc: where the kernel tells of the machine.
        cgroup: where it tells of the control group, version 2 or 1.

    Returns:
        None where nothing is known.
    """
    found: list[tuple[int, str]] = []
    with suppress(OSError, ValueError):
        machine = _kilobytes((proc / "meminfo").read_text("ascii"), "MemAvailable")
        if machine is not None:
            found.append((machine, "of this machine"))
    found += [(left, "of its container") for left in _left_in_cgroups(proc, cgroup)]
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        with suppress(OSError, ValueError):
            held = _kilobytes((proc / "self" / "status").read_text("ascii"), "VmSize") or 0
            found.append((max(limit - held, 0), "by ulimit -v"))
    return min(found, default=None)


def _left_in_cgroups(proc: Path, root: Path) -> list[int]:
    """What the control groups of this process leave, each with those above it."""
    lefts = []
    second, first = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
    folders = [(root, *second), (root / "memory", *first)]
    with suppress(OSError, ValueError):
        for line in (proc / "self" / "cgroup").read_text("ascii").splitlines():
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            own = Path(path.strip("/"))
            for part in (own, *own.parents):
                if number == "0":
                    folders.append((root / part, *second))
                elif "memory" in controllers.split(","):
                    folders.append((root / "memory" / part, *first))
    for folder, most, used in folders:
        # "max" is no number: no limit.
        with suppress(OSError, ValueError):
            limit, usage = int((folder / most).read_text("ascii")), int((folder / used).read_text("ascii"))
            # Version 1 spells "no limit" as a number near 2^63.
            if limit < 1 << 60:
                lefts.append(max(limit - usage + _file_pages(folder), 0))
    return lefts


def _file_pages(folder: Path) -> int:
    """Pages of files that a control group counts but gives up when memory is asked for."""
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text("ascii").splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return int(value)
    return 0


def held_memory() -> int:
    """Bytes that are resident in this process and its children now, and are no file's."""
    return sum(_anonymous(process) for process in _with_children(os.getpid()))


def _anonymous(process: int) -> int:
    with suppress(OSError, ValueError):
        return _kilobytes((_PROC / str(process) / "status").read_text("ascii", "replace"), "RssAnon") or 0
    return 0


def _with_children(process: int) -> list[int]:
    found = [process]
    # A process or thread may end meanwhile.
    with suppress(OSError):
        for thread in (_PROC / str(process) / "task").iterdir():
            for child in (thread / "children").read_text("ascii").split():
                found += _with_children(int(child))
    return found


class PeakMemory:
    """The most that this process and its children were seen to hold at once.

    Attributes:
        bytes: so far.
    """

    def __init__(self) -> None:
        self.bytes = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Looks once a second while the block runs, from a thread of its own."""
        ended = threading.Event()

        def look() -> None:
            while True:
                self.bytes = max(self.bytes, held_memory())
                if ended.wait(_LOOK_EVERY_SECONDS):
                    return

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
