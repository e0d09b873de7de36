"""QDQ ONNX → DLC, the container that ``qnn-net-run --dlc_path`` and SNPE read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qnn_sd.compile.narrow_operands import with_fitting_operands
from qnn_sd.compile.process import Job, run_child
from qnn_sd.errors import CompileError

DLC_FILE = "model.dlc"
_CHILD = "qnn_sd.compile.dlc_child"


def write_dlc(source: Path, soc_model: int, htp_arch: int, folder: Path) -> dict[str, Any]:
    """Writes a QDQ model as ``model.dlc``: the graph as the HTP of a SoC takes it, not compiled.

    Args:
        source: folder of the QDQ model.
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
        folder: existing empty folder that gets the file.

    Returns:
        Metadata for the manifest: the file's bytes, and how many second operands of products have int8 in the place of
        int16.

    Raises:
        CompileError: QNN refused the graph, crashed, or would need several files for it.
    """
    with with_fitting_operands(Job(source, folder, soc_model, htp_arch, 1)) as (job, narrowed):
        graph = str(job.graph or source)
        request = {"source": graph, "folder": str(folder), "soc_model": soc_model, "htp_arch": htp_arch}
        outcome = run_child(_CHILD, request, lambda _line: None)
    if outcome.code:
        crash = outcome.crash_reason
        raise CompileError(
            f"QNN {f'crashed with {crash}' if crash else 'refused'} when {source} was written as a DLC",
            why=outcome.last,
            hint="A node named above has a form that the HTP doesn't take. qnn-sd compile without --format tells more.",
        )
    parts = sorted(folder.iterdir())
    if len(parts) != 1:
        names = ", ".join(part.name for part in parts)
        raise CompileError(
            f"{source} came out as {len(parts)} DLCs, and one is needed",
            why=f"QNN splits a graph at what the HTP doesn't take: {names}." if parts else outcome.last,
            hint="Build a context binary instead, which is one or refused: qnn-sd compile without --format.",
        )
    made = parts[0].rename(folder / DLC_FILE)
    made.chmod(0o644)  # QNN leaves it unreadable to others
    return {"dlc_bytes": made.stat().st_size, "int8_operands": narrowed}
