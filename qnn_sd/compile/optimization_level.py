"""Tries the compiler's optimization levels from above: where it crashes at one, the next may work."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.compile.narrow_operands import with_fitting_operands
from qnn_sd.compile.process import Job, Outcome, run
from qnn_sd.errors import CompileError

Report = Callable[[str], None]


def no_op(line: str) -> None:
    """Listens to nothing."""


@dataclass(frozen=True)
class Compiled:
    """How a compile ended well.

    Attributes:
        level: the optimization level that worked.
        crashes: one line for each level above it, at which the compiler crashed.
        int8_operands: how many second operands of products have int8 in the place of int16 (``narrow_operands.py``).
    """

    level: int
    crashes: tuple[str, ...]
    int8_operands: int = 0


def run_at_best_level(job: Job, report: Report, listener: Callable[[], Callable[[str], None]]) -> Compiled:
    """Runs a job at its level, or at the highest below it that the compiler survives.

    Args:
        job: what to compile.
        report: gets a line for each level at which the compiler crashed, with the blocks that do it.
        listener: makes a fresh listener to the compiler's output for each level.

    Raises:
        CompileError: the compiler refused the graph, or crashed at every level; the folder is empty then.
    """
    with with_fitting_operands(job) as (fitting, narrowed):
        return replace(_run_at_best_level(fitting, report, listener), int8_operands=narrowed)


def _run_at_best_level(job: Job, report: Report, listener: Callable[[], Callable[[str], None]]) -> Compiled:
    crashes: list[str] = []
    for level in range(job.optimization_mode, 0, -1):
        here = replace(job, optimization_mode=level)
        outcome = run(here, listener())
        if outcome.code == 0:
            return Compiled(level, tuple(crashes))
        if job.children is not None and job.children.closed:
            raise CompileError("The compile was called off", hint="Start it again: what is done stays so.")
        for left in job.folder.iterdir():
            left.unlink()
        crashes.append(f"crashed with {outcome.crash_reason} at level {level} ({_culprits(here, outcome)})")
        report(f"the QNN compiler {crashes[-1]}" + (f"; trying level {level - 1}" if level > 1 else ""))
    raise CompileError(
        f"The QNN compiler {', then '.join(crashes)} on {job.source}",
        why=outcome.last,
        hint="Is there enough memory? A full-size UNet needs 8 GB. If so, write the named block in another form.",
    )


def _culprits(job: Job, outcome: Outcome) -> str:
    """At which blocks the compiler crashes: each is compiled by itself."""
    if outcome.crash_reason == "SIGKILL":
        return "killed from outside, as when memory runs out"
    graph, guilty = QdqGraph(job.graph or job.source), []
    for block, ops in graph.grouped().items():
        with tempfile.TemporaryDirectory(dir=job.folder) as aside:
            part, out = Path(aside) / "part", Path(aside) / "out"
            part.mkdir()
            out.mkdir()
            graph.extract(ops, part)
            try:
                if run(Job(part, out, job.soc_model, job.htp_arch, job.optimization_mode), no_op).crash_reason:
                    guilty.append(block)
            except CompileError:
                continue  # refused alone is not what killed the whole
    if not guilty:
        return "at no block compiled alone"
    return f"also at {'this block' if len(guilty) == 1 else 'these blocks'} compiled alone: {', '.join(guilty)}"
