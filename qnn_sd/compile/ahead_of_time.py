"""Ahead-of-time compile of a component to its context binary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qnn_sd.compile.epcontext_model import simplify_wrapper
from qnn_sd.compile.optimization_level import Report, no_op, run_at_best_level
from qnn_sd.compile.process import CONTEXT_FILE, Children, Job


def compile_component(
    source: Path,
    soc_model: int,
    htp_arch: int,
    optimization_mode: int,
    folder: Path,
    *,
    report: Report = no_op,
    further_socs: tuple[tuple[int, int], ...] = (),
    vtcm_mb: int | None = None,
    children: Children | None = None,
) -> dict[str, Any]:
    """Compiles a QDQ model to ``model_ctx.onnx`` (an EPContext wrapper) and its context binary.

    Args:
        source: folder of the QDQ model.
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
        optimization_mode: ``htp_graph_finalization_optimization_mode``, 1 to 3. Where the compiler
            crashes at it, the next lower one is tried.
        folder: existing folder that gets the files.
        report: gets a line for each level at which the compiler crashed.
        further_socs: soc_model and htp_arch of further SoCs, whose binaries the same file is to hold. The HTP emulator
            doesn't load a file for several.
        vtcm_mb: on-chip memory that the graph may take; None for the compiler's default, 4 MB.
        children: that the compiler's process is one of.

    Returns:
        Metadata for the manifest: the binaries' bytes, the level that worked, the crashes above it, how many second
        operands of products have int8 in the place of int16.

    Raises:
        CompileError: the compiler refused the graph, or crashed at every level; nothing usable is left.
    """
    options = {} if vtcm_mb is None else {"vtcm_mb": str(vtcm_mb)}
    job = Job(
        source,
        folder,
        soc_model,
        htp_arch,
        optimization_mode,
        options,
        further_socs=further_socs,
        children=children,
    )
    compiled = run_at_best_level(job, report, lambda: no_op)
    simplify_wrapper(folder / CONTEXT_FILE)
    binaries = sum(path.stat().st_size for path in folder.glob("*.bin"))
    return {
        "context_binary_bytes": binaries,
        "optimization_mode": compiled.level,
        "compiler_crashes": list(compiled.crashes),
        "int8_operands": compiled.int8_operands,
    }
