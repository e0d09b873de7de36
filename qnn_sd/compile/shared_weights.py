"""Graphs of one component at several sizes, compiled into one context binary that holds their weights once.

The compiler takes each size in a session of its own; all of them must be alive until the last one has written the file.
The HTP emulator doesn't load such a file ("Shared weights buffer isn't supported on this platform"). But the graphs run
on it in the process that compiled them: so verifying compiles them once more, which gives the same bytes.
"""

from __future__ import annotations

import filecmp
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from qnn_sd.compile.epcontext_model import simplify_wrapper
from qnn_sd.compile.narrow_operands import with_fitting_operands
from qnn_sd.compile.optimization_level import Report, no_op
from qnn_sd.compile.process import Children, Job, run_child
from qnn_sd.compile.sample_files import read_answers, write_samples
from qnn_sd.errors import CompileError, VerificationError
from qnn_sd.onnx_files import load_structure, read_array
from qnn_sd.runner import Feeds, Outputs

_CHILD = "qnn_sd.compile.shared_weights_child"
_ALONE = "Compile each size by itself: qnn-sd compile with one --size."


@dataclass(frozen=True)
class SharedJob:
    """One component at several sizes, for one SoC.

    Attributes:
        sources: folder of the QDQ model of each size, by the size's name; the binary is named after the first.
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
        optimization_mode: ``htp_graph_finalization_optimization_mode``, 1 to 3.
    """

    sources: Mapping[str, Path]
    soc_model: int
    htp_arch: int
    optimization_mode: int


def wrapper_name(size: str) -> str:
    """Name of the EPContext wrapper of a size."""
    return f"{size}_ctx.onnx"


def compile_shared(
    job: SharedJob, folder: Path, *, report: Report = no_op, children: Children | None = None
) -> dict[str, Any]:
    """Compiles a component's sizes to an EPContext wrapper for each, and one context binary.

    Where the compiler crashes at a level, the next lower one is tried.

    Args:
        job: what to compile.
        folder: existing empty folder that gets the files.
        report: gets a line for each level at which the compiler crashed.
        children: that the compiler's process is one of.

    Returns:
        Metadata for the manifest: the binary's bytes, the level that worked, the crashes above it, how many second
        operands have int8 in the place of int16, and how many bytes of the QDQ graphs' integers all sizes have alike.

    Raises:
        CompileError: the compiler refused a graph, crashed at every level, or wrote something else than one binary.
    """
    crashes: list[str] = []
    with ExitStack() as stack:
        graphs, narrowed = _fitting_graphs(job, folder, stack)
        for level in range(job.optimization_mode, 0, -1):
            crash = _compile(job, graphs, level, folder, {}, children)
            if crash is None:
                break
            crashes.append(f"crashed with {crash} at level {level}")
            report(f"the QNN compiler {crashes[-1]}" + (f"; trying level {level - 1}" if level > 1 else ""))
        else:
            raise CompileError(f"The QNN compiler {', then '.join(crashes)} on the sizes together", hint=_ALONE)
    binary = _require_one_binary(job, folder)
    for size in job.sources:
        simplify_wrapper(folder / wrapper_name(size))
    alike, total = equal_weights(list(job.sources.values()))
    return {
        "context_binary_bytes": binary.stat().st_size,
        "optimization_mode": level,
        "compiler_crashes": crashes,
        "int8_operands": narrowed,
        "weight_bytes": total,
        "equal_weight_bytes": alike,
    }


def run_shared(
    job: SharedJob, compiled: Path, samples: Mapping[str, Sequence[Feeds]], children: Children | None = None
) -> dict[str, tuple[list[Outputs], list[Outputs]]]:
    """The outputs of each size's QDQ graph on the CPU and of its compiled graph on the emulator, for each sample.

    Args:
        job: that was compiled, with the level that worked.
        compiled: folder of its binary.
        samples: real inputs of each size.
        children: that the compiler's process is one of.

    Raises:
        CompileError: the compiler refused a graph or crashed.
        VerificationError: compiling again gave another binary, so that its run shows nothing of the one at hand.
    """
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        again = Path(scratch) / "again"
        again.mkdir()
        runs: dict[str, dict[str, Any]] = {}
        for size, feeds in samples.items():
            data = Path(scratch) / size
            data.mkdir()
            files, answer = write_samples(data, feeds), str(data / "answer.npz")
            runs[size] = {"qdq": str(job.sources[size]), "samples": files, "answer": answer}
        graphs, _narrowed = _fitting_graphs(job, again, stack)
        if crash := _compile(job, graphs, job.optimization_mode, again, runs, children):
            raise CompileError(f"The QNN compiler crashed with {crash} when it compiled {compiled} again", hint=_ALONE)
        name = binary_name(job)
        if not filecmp.cmp(again / name, compiled / name, shallow=False):
            raise VerificationError(
                f"{compiled / name} can't be verified",
                why="Compiling it again gave other bytes, and the HTP emulator loads no file with shared weights.",
                hint=_ALONE,
            )
        return {size: read_answers(Path(each["answer"])) for size, each in runs.items()}


def binary_name(job: SharedJob) -> str:
    """Name of the context binary: QNN names it after the first session's wrapper."""
    return f"{Path(wrapper_name(next(iter(job.sources)))).stem}_qnn.bin"


def equal_weights(folders: Sequence[Path]) -> tuple[int, int]:
    """How many bytes of integer constants QDQ graphs have alike, by name, and how many the first has.

    Args:
        folders: of the QDQ models.
    """
    graphs = [(folder, {each.name: each for each in load_structure(folder).graph.initializer}) for folder in folders]
    first, constants = graphs[0]
    alike = total = 0
    for name, tensor in constants.items():
        if not name.endswith(".q"):
            continue
        values = read_array(tensor, first)
        total += values.nbytes
        others = (
            name in found and np.array_equal(read_array(found[name], folder), values) for folder, found in graphs[1:]
        )
        alike += values.nbytes if all(others) else 0
    return alike, total


def _fitting_graphs(job: SharedJob, folder: Path, stack: ExitStack) -> tuple[dict[str, Path], int]:
    """The folder of each size's graph in a form that the SoC takes, and how many operands were narrowed for it."""
    graphs, count = {}, 0
    for size, source in job.sources.items():
        alone = Job(source, folder, job.soc_model, job.htp_arch, job.optimization_mode)
        fitting, narrowed = stack.enter_context(with_fitting_operands(alone))
        graphs[size] = fitting.graph or fitting.source
        count += narrowed
    return graphs, count


def _compile(
    job: SharedJob,
    graphs: Mapping[str, Path],
    level: int,
    folder: Path,
    runs: Mapping[str, object],
    children: Children | None,
) -> str | None:
    """Compiles at a level; returns the signal that the compiler died of, or None."""
    request = {
        "sessions": [[str(graph), str(folder / wrapper_name(size)), size] for size, graph in graphs.items()],
        "soc_model": job.soc_model,
        "htp_arch": job.htp_arch,
        "level": level,
        "runs": runs,
    }
    outcome = run_child(_CHILD, request, lambda _line: None, children)
    if outcome.code > 0:
        raise CompileError(
            f"The QNN compiler refused {', '.join(job.sources)} with shared weights", why=outcome.last, hint=_ALONE
        )
    if outcome.crash_reason:
        for left in folder.iterdir():
            left.unlink()
    return outcome.crash_reason


def _require_one_binary(job: SharedJob, folder: Path) -> Path:
    """The binary that all wrappers refer to."""
    named = set()
    for size in job.sources:
        model = onnx.load(str(folder / wrapper_name(size)), load_external_data=False)
        nodes = [node for node in model.graph.node if node.op_type == "EPContext"]
        named |= {onnx.helper.get_node_attr_value(node, "ep_cache_context").decode() for node in nodes}
    found = {path.name for path in folder.glob("*.bin")}
    if named != found or found != {binary_name(job)}:
        raise CompileError(
            f"The sizes {', '.join(job.sources)} don't share one context binary",
            why=f"Their wrappers name {', '.join(sorted(named))}; written were {', '.join(sorted(found)) or 'none'}.",
            hint=_ALONE,
        )
    return folder / binary_name(job)
