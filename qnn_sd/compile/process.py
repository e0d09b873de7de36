"""Runs the compiler in a child process: the vendor's code can take its process with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qnn_sd import interruption
from qnn_sd.errors import CompileError, TargetError

CONTEXT_FILE = "model_ctx.onnx"
_KEPT_LINES = 40
# ONNX Runtime's tags: what is worth keeping of a verbose run, and what buries it.
_ERROR, _CHATTER = "[E:onnxruntime", re.compile(r"\[[VI]:onnxruntime")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Job:
    """One run of the compiler.

    Attributes:
        source: folder of the QDQ model.
        folder: existing folder that gets ``model_ctx.onnx`` (an EPContext wrapper) and its context binary.
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
        optimization_mode: ``htp_graph_finalization_optimization_mode``, 1 to 3.
        options: further options of the QNN provider.
        verbose: whether the compiler tells all that it does, its memory traffic included.
        further_socs: soc_model and htp_arch of further SoCs, whose binaries the same file is to hold.
        children: that the compiler's process is one of; None for one that only this call ends.
        graph: folder of the graph that is compiled in place of the source, where that has a form that its SoCs don't
            take; None for the source itself. Messages name the source.
    """

    source: Path
    folder: Path
    soc_model: int
    htp_arch: int
    optimization_mode: int
    options: Mapping[str, str] = field(default_factory=dict)
    verbose: bool = False
    further_socs: tuple[tuple[int, int], ...] = ()
    graph: Path | None = None
    children: Children | None = None

    @property
    def socs(self) -> tuple[tuple[int, int], ...]:
        """soc_model and htp_arch of every SoC that it is compiled for."""
        return ((self.soc_model, self.htp_arch), *self.further_socs)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        code: the exit code; negative: the signal that killed the compiler.
        last: the last lines that it printed.
    """

    code: int
    last: str

    @property
    def crash_reason(self) -> str | None:
        """Name of the signal that killed it, or None."""
        return signal.Signals(-self.code).name if self.code < 0 else None


def run(job: Job, listen: Callable[[str], None]) -> Outcome:
    """Runs the compiler to its end, whichever that is.

    Args:
        job: what to compile.
        listen: gets each line that it prints; the verbose log of a full-size UNet has 100 MB, so
            only the last lines are kept.

    Raises:
        CompileError: it refused the graph, or wrote nothing.
    """
    request = {
        "source": str(job.graph or job.source),
        "context": str(job.folder / CONTEXT_FILE),
        "soc_model": ",".join(str(soc_model) for soc_model, _htp_arch in job.socs),
        "htp_arch": ",".join(str(htp_arch) for _soc_model, htp_arch in job.socs),
        "options": {"htp_graph_finalization_optimization_mode": str(job.optimization_mode), **job.options},
        "verbose": job.verbose,
    }
    outcome = run_child("qnn_sd.compile.compiler_child", request, listen, job.children)
    if outcome.code > 0:
        raise CompileError(
            f"The QNN compiler refused {job.source}",
            why=outcome.last,
            hint="A node named above has a form that the HTP doesn't take.",
        )
    if outcome.code == 0 and not (job.folder / CONTEXT_FILE).is_file():
        raise CompileError(
            f"The QNN compiler wrote nothing for {job.source}", why=outcome.last, hint="Run qnn-sd doctor."
        )
    return outcome


class Children:
    """Child processes that are ended together, from whichever thread they were started."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._closed = False
        self._lock = threading.Lock()

    def start(self, module: str, request: Mapping[str, object]) -> subprocess.Popen[str]:
        """As ``start_child``.

        Raises:
            TargetError: ``close`` was called.
        """
        # Under the lock, so that who closes meanwhile ends this one too.
        with self._lock:
            if self._closed:
                raise TargetError("The work was called off", hint="Start it again: what is done stays so.")
            child = start_child(module, request)
            self._running.add(child)
            return child

    @property
    def closed(self) -> bool:
        """Whether they were ended: none of them crashed then."""
        return self._closed

    def ended(self, child: subprocess.Popen[str]) -> None:
        """Forgets one that has ended."""
        with self._lock:
            self._running.discard(child)

    def close(self) -> None:
        """Ends what runs; nothing more can be started."""
        with self._lock:
            self._closed = True
            for child in self._running:
                child.kill()


def start_child(module: str, request: Mapping[str, object]) -> subprocess.Popen[str]:
    """Starts a module of this package as a process that ends with this one (``child.die_with_parent``).

    Args:
        module: its name.
        request: what it is told, as JSON.

    Returns:
        The process; what it prints, on either descriptor, is its ``stdout``.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module, json.dumps({**request, "parent": os.getpid()})],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def run_child(
    module: str, request: Mapping[str, object], listen: Callable[[str], None], children: Children | None = None
) -> Outcome:
    """Runs a module as a child to its end; Ctrl-C takes it along.

    A compiler holds gigabytes, so none may be left behind. Ctrl-C waits until the child is known:
    raised within Popen it would leave a process that nobody has a handle on. (Blocking the signal
    is not enough: the runtime's threads take it then, and Python raises it here all the same.)
    """
    children = children or Children()
    child = None
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    errors: deque[str] = deque(maxlen=3)
    try:
        with interruption.deferred():
            child = children.start(module, request)
        assert child.stdout is not None, "it was asked for"
        for line in child.stdout:
            listen(line)
            if line.strip() and not _CHATTER.search(line):
                last.append(line)
            if _ERROR in line:
                errors.append(line)
        child.wait()
    finally:
        if child is not None:
            if child.poll() is None:
                child.kill()
                child.wait()
            children.ended(child)
            if child.stdout is not None:
                child.stdout.close()
    # Between a verbose run's errors and its last word lie thousands of lines.
    told = [*errors, *list(last)[-1:]] if request.get("verbose") else last
    return Outcome(child.returncode, last_lines(dict.fromkeys(told)))


def last_lines(lines: Iterable[str], count: int = 4) -> str:
    """What a child printed last, for a message."""
    plain = (_COLOUR.sub("", line).strip() for line in lines)
    kept = [line for line in plain if line and "LIBNATIVE" not in line]
    return "\n        ".join(line[:400] for line in kept[-count:])
