"""What ``qnn-sd verify --bisect`` says of a graph."""

from __future__ import annotations

import math

import onnx

from qnn_sd.cli.documents.bisect import BisectedGraph, BisectedOp, WrittenReproduction
from qnn_sd.compile.bisect import Bisection, Reproduction, op_name
from qnn_sd.compile.blocks import block_name
from qnn_sd.console import Console
from qnn_sd.errors import CompileError, QnnSdError, VerificationError

_VERDICTS = {
    None: "nothing parts",
    "parts": "the binary parts from its QDQ graph",
    "refused": "the compiler refuses it",
    "crashed": "the compiler crashes",
}


def bisected_graph(name: str, label: str, bisection: Bisection, written: Reproduction | None) -> BisectedGraph:
    """What was found, as a document.

    Args:
        name: of the graph.
        label: of the input that it was bisected with.
        bisection: what was found.
        written: the reproduction, if there is one.
    """
    culprit = bisection.culprit
    return BisectedGraph(
        graph=name,
        ops=len(bisection.cuts.ops),
        fault=bisection.fault,
        why=bisection.why,
        sqnr_db=_finite(bisection.whole.least_sqnr_db),
        input=label,
        op=None if bisection.op is None else _op(bisection, bisection.op),
        pattern=[] if culprit is None else [_op(bisection, each) for each in culprit.ops],
        fused=bisection.fused,
        op_sqnr_db=None if culprit is None else _finite(culprit.measured.least_sqnr_db),
        inputs_sqnr_db={tensor: _finite(each) for tensor, each in bisection.inputs_db.items()},
        compiles=bisection.cuts.compiles,
        reproduction=None
        if written is None
        else WrittenReproduction(
            file=str(written.path),
            bytes=written.size,
            sqnr_db=_finite(written.sqnr_db),
            own_weights=written.own_weights,
            own_inputs=written.own_inputs,
            own_names=written.own_names,
        ),
    )


def _op(bisection: Bisection, node: onnx.NodeProto) -> BisectedOp:
    name = op_name(node)
    shape = list(bisection.cuts.graph.shape(node.output[0]))
    return BisectedOp(name=name, type=node.op_type, block=block_name(name), shape=shape)


def _finite(figure: float | None) -> float | None:
    return None if figure is None or math.isnan(figure) else round(figure, 2)


def show_bisected(console: Console, found: BisectedGraph, soc: str) -> None:
    """Prints it for people."""
    console.result(f"{found.graph}, {found.ops} ops, for {soc}: {_VERDICTS[found.fault]}")
    rows: list[tuple[str, str]] = []
    if found.fault in (None, "parts"):
        rows.append(("worst output", f"{_decibels(found.sqnr_db)} SQNR, {found.input}"))
    if found.why:
        rows.append(("it says", " ".join(found.why.split())[:300]))
    if found.op is not None:
        rows.append(("first op", f"{found.op.name} ({found.op.type}), output {'x'.join(map(str, found.op.shape))}"))
        rows.append(("its block", found.op.block))
    if len(found.pattern) > 1:
        rows.append(("in the pattern", ", ".join(f"{each.name} ({each.type})" for each in found.pattern)))
    if found.fused:
        rows.append(("", "with the tensors between them as outputs as well, the fault is gone"))
    if found.fault == "parts" and found.op is not None:
        rows.append(("its output", f"{_decibels(found.op_sqnr_db)} SQNR, fed with the CPU's values"))
        for tensor, figure in found.inputs_sqnr_db.items():
            rows.append(("its input", f"{_decibels(figure)} SQNR in the graph up to it: {tensor}"))
    if found.fault is not None and found.op is None:
        rows.append(("first op", "none: no smaller cut shows it; an error adds up from op to op, or needs the whole"))
    rows.append(("compiles", str(found.compiles)))
    if (written := found.reproduction) is not None:
        shown = "" if found.fault != "parts" else f", {_decibels(written.sqnr_db)} SQNR"
        rows.append(("reproduction", f"{written.file}, {written.bytes / 1000:.1f} kB{shown}: {_inside(written)}"))
    for title, text in rows:
        console.result(f"  {title:<14} {text}")


def _inside(written: WrittenReproduction) -> str:
    own = {"weights": written.own_weights, "inputs": written.own_inputs, "names": written.own_names}
    kept = " and ".join(what for what, inside in own.items() if inside)
    if kept:
        return f"the graph's {kept} are INSIDE, without them the fault is gone; look at it before you send it"
    return "random weights and inputs, no names of the graph"


def _decibels(figure: float | None) -> str:
    return "NaN dB" if figure is None else f"{figure:.1f} dB"


def failure_of(found: BisectedGraph, soc: str) -> QnnSdError | None:
    """What the command ends with for a graph, if anything."""
    if found.fault is None:
        return None
    hint = "Write it in another form: docs/htp-forms.md."
    if found.reproduction is not None:
        hint = f"Send {found.reproduction.file} to the vendor. {hint}"
    where = "" if found.op is None else f" at {found.op.name} ({found.op.type})"
    if found.fault == "parts":
        return VerificationError(
            f"{found.graph} on the HTP of {soc} parts from its QDQ graph{where}",
            why=f"{_decibels(found.sqnr_db)} SQNR for the worst output of the whole graph.",
            hint=hint,
        )
    what = "refuses" if found.fault == "refused" else "crashes on"
    return CompileError(f"The QNN compiler {what} {found.graph} for {soc}{where}", why=found.why, hint=hint)
