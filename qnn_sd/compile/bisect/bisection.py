"""A bisection from the whole graph to the op that is at fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from qnn_sd.compile.bisect.cuts import Cuts, Measured
from qnn_sd.compile.bisect.search import FIRST_LEVEL, Culprit, Search
from qnn_sd.compile.bisect.trial import Fault, Trial, output_errors
from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.metrics import MIN_SQNR_DB
from qnn_sd.runner import Feeds

# Tells which ops a compiler refuses, of the graph in a folder, and what it says of each.
Refusals = Callable[[Path], Mapping[str, str]]


@dataclass(frozen=True)
class Bisection:
    """What a bisection found.

    Attributes:
        fault: of the whole graph; None where it computes what it says.
        why: what the compiler printed, where it refused the graph or crashed.
        whole: what the whole graph showed, on its worst sample.
        sample: number of that sample.
        culprit: the smallest cut with the fault; None without a fault, or where no smaller cut has it: what
            adds up over many ops, say.
        op: the op that is named: the first of the culprit's whose output parts.
        fused: whether the fault is gone where all that lies within the culprit is an output as well.
        inputs_db: SQNR of what the culprit reads, in the graph up to it, by tensor; 200 for what is exact.
        cuts: the graph's cuts, for what is made of them.
    """

    fault: Fault | None
    why: str
    whole: Measured
    sample: int
    culprit: Culprit | None
    op: onnx.NodeProto | None
    fused: bool
    inputs_db: Mapping[str, float]
    cuts: Cuts


def bisect(
    folder: Path,
    samples: Sequence[Feeds],
    trial: Trial,
    refusals: Refusals,
    report: Callable[[str], None],
    gate_db: float = MIN_SQNR_DB,
) -> Bisection:
    """Finds the first op at which a QDQ graph parts from the CPU, is refused, or crashes the compiler.

    The graph is cut into windows of its ops in their order. Each is compiled by itself and fed with what the
    CPU computed, so that errors don't add up over the cuts.

    Args:
        folder: of the QDQ graph, with static shapes.
        samples: its inputs, one sample at least; the worst one is bisected with.
        trial: compiles and runs.
        refusals: names what the compiler refuses.
        report: gets a line for each compile.
        gate_db: SQNR that the graph's binary is held to.

    Raises:
        CompileError: the compiler was killed from outside.
        TargetError: the QNN plugin can't be loaded.
    """
    graph = QdqGraph(folder)
    whole, why, worst = _whole(graph, samples, trial, report, gate_db)
    cuts = Cuts(graph, samples[worst], trial, report)
    cuts.compiles = 1
    levels = dict.fromkeys((min(FIRST_LEVEL, gate_db), gate_db))
    least = [each for each in levels if whole.fault or whole.margin_db(each) < 0]
    fault: Fault | None = whole.fault or ("parts" if least else None)
    if fault is None:
        return Bisection(None, "", whole, worst, None, None, False, {}, cuts)
    culprit, told = None, {}
    if fault == "refused":
        cuts.compiles += 1
        report(f"compile {cuts.compiles}: the whole graph, with the compiler's log")
        told = dict(refusals(folder))
        culprit = _refused_alone(cuts, told, gate_db)
    for level in least if culprit is None else []:
        if (culprit := Search(cuts, fault, level).find()) is not None:
            break
    if culprit is None:
        return Bisection(fault, why, whole, worst, None, None, False, {}, cuts)
    op, fused = _named(cuts, culprit, fault)
    why = told.get(op.name, why)
    return Bisection(fault, why, whole, worst, culprit, op, fused, _inputs_db(cuts, culprit, fault), cuts)


def _whole(
    graph: QdqGraph, samples: Sequence[Feeds], trial: Trial, report: Callable[[str], None], gate_db: float
) -> tuple[Measured, str, int]:
    """What the whole graph shows on its worst sample, what was printed, and which sample that is."""
    report(f"compile 1: the whole graph, {len(graph.ops)} ops")
    ran = trial(graph.folder, samples)
    if ran.fault:
        return Measured(ran.fault, ran.why, ()), ran.why, 0
    measured = [
        Measured(None, "", tuple(output_errors(graph, expected, found)))
        for expected, found in zip(ran.expected, ran.found, strict=True)
    ]
    worst = min(range(len(measured)), key=lambda number: measured[number].margin_db(gate_db))
    return measured[worst], "", worst


def _refused_alone(cuts: Cuts, told: Mapping[str, str], gate_db: float) -> Culprit | None:
    """The first op that the compiler names, where it refuses it alone as well."""
    for node in cuts.ops:
        if node.name in told:
            measured = cuts.measure([node])
            return Culprit((node,), None, measured, gate_db) if measured.fault == "refused" else None
    return None


def _named(cuts: Cuts, culprit: Culprit, fault: Fault) -> tuple[onnx.NodeProto, bool]:
    """The first op whose output parts, and whether the fault is gone where what lies within is an output as well."""
    ops = culprit.ops
    if fault != "parts" or len(ops) == 1:
        return ops[-1], False
    measured = cuts.measure(ops, tuple(dict.fromkeys(cuts.graph.read_outside(ops, ()))))
    parted = {each.name for each in measured.parted(culprit.least_db)}
    last = set(cuts.graph.read_outside([ops[-1]], ()))
    if measured.fault is not None or not parted & last:
        return ops[-1], measured.fault is None
    return next(node for node in ops if parted.intersection(cuts.graph.read_outside([node], ()))), False


def _inputs_db(cuts: Cuts, culprit: Culprit, fault: Fault) -> dict[str, float]:
    """SQNR of what the culprit reads of other ops, in the graph up to it."""
    if fault != "parts":
        return {}
    start = cuts.ops.index(culprit.ops[0])
    names = cuts.read_from_before(culprit.ops)
    if not start or not names:
        return {}
    measured = cuts.measure(cuts.ops[:start], tuple(names))
    return {each.name: each.sqnr_db for each in measured.outputs}
