"""Cuts of a QDQ graph, each fed with what the CPU computed: errors of what lies before a cut don't reach it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from qnn_sd.compile.bisect.trial import Fault, OutputError, Ran, Trial, output_errors
from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.reference import reference_session
from qnn_sd.runner import Feeds

Ops = tuple[onnx.NodeProto, ...]


@dataclass(frozen=True)
class Measured:
    """What a cut showed.

    Attributes:
        fault: whether it was refused or crashed; None where it ran.
        why: what was printed then.
        outputs: how far each output is off, where it ran.
    """

    fault: Fault | None
    why: str
    outputs: tuple[OutputError, ...]

    def parted(self, least_db: float) -> list[OutputError]:
        """The outputs with no margin left, in the graph's order."""
        return [each for each in self.outputs if each.margin_db(least_db) < 0]

    @property
    def least_sqnr_db(self) -> float | None:
        """SQNR of the worst output; NaN is worse than all, None where there is none."""
        figures = [each.sqnr_db for each in self.outputs]
        return min(figures, key=lambda each: (each == each, each), default=None)  # noqa: PLR0124 (NaN)

    def margin_db(self, least_db: float) -> float:
        """The least margin of an output; infinite where there is none."""
        return min((each.margin_db(least_db) for each in self.outputs), default=np.inf)


class Cuts:
    """Measures cuts of one graph; what was measured once is known.

    Args:
        graph: the whole.
        feeds: its inputs.
        trial: compiles and runs.
        report: gets a line for each cut.

    Attributes:
        ops: what is cut: all ops but constants, in the graph's order.
        compiles: how many graphs were compiled.
    """

    def __init__(self, graph: QdqGraph, feeds: Feeds, trial: Trial, report: Callable[[str], None]) -> None:
        self.graph = graph
        self.ops: Ops = tuple(node for node in graph.ops if node.op_type != "Constant")
        self.compiles = 0
        self._trial, self._report = trial, report
        self._values: dict[str, NDArray[np.generic]] = dict(feeds)
        self._given = dict(feeds)
        self._known: dict[tuple[tuple[str, ...], tuple[str, ...]], Measured] = {}

    def try_out(self, folder: Path, samples: Sequence[Feeds], what: str) -> Ran:
        """Compiles and runs a graph.

        Args:
            folder: of the graph.
            samples: inputs.
            what: said of it.
        """
        self.compiles += 1
        self._report(f"compile {self.compiles}: {what}")
        return self._trial(folder, samples)

    def measure(self, ops: Sequence[onnx.NodeProto], outputs: Sequence[str] | None = None) -> Measured:
        """Compiles a cut and runs it on the CPU's values.

        Args:
            ops: what it consists of.
            outputs: its outputs, by the names under which ops read them; None for all that is read outside.
        """
        chosen = tuple(node.output[0] for node in ops)
        ends = tuple(dict.fromkeys(self.graph.read_outside(ops, chosen) if outputs is None else outputs))
        if (chosen, ends) not in self._known:
            self._known[chosen, ends] = self._measure(ops, ends)
        return self._known[chosen, ends]

    def _measure(self, ops: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> Measured:
        with tempfile.TemporaryDirectory(prefix="qnn-sd-cut-") as scratch:
            folder = Path(scratch)
            feeds = self.write(ops, folder, outputs)
            graph = QdqGraph(folder)
            # What depends on constants alone, or is read by nobody, never reaches the HTP.
            if not feeds or not graph.model.graph.output:
                return Measured(None, "", ())
            ran = self.try_out(folder, [feeds], self._described(ops))
            if ran.fault:
                return Measured(ran.fault, ran.why, ())
            return Measured(None, "", tuple(output_errors(graph, ran.expected[0], ran.found[0])))

    def write(self, ops: Sequence[onnx.NodeProto], folder: Path, outputs: Sequence[str] | None = None) -> Feeds:
        """Writes a cut as a graph.

        Args:
            ops: what it consists of.
            folder: existing empty folder.
            outputs: its outputs, by the names under which ops read them; None for all that is read outside.

        Returns:
            Its inputs, as the CPU computes them in the whole graph.
        """
        names = self.graph.extract(ops, folder, outputs)
        return self.values(names)

    def read_from_before(self, ops: Sequence[onnx.NodeProto]) -> list[str]:
        """What some ops read of other ops, by the names under which they read it."""
        graph, chosen = self.graph, {node.output[0] for node in ops}
        found: dict[str, None] = {}
        for name in (name for node in ops for name in node.input if name and not graph.is_constant(name)):
            source = name
            while source in graph.maker and graph.maker[source].op_type in ("QuantizeLinear", "DequantizeLinear"):
                source = graph.maker[source].input[0]
            if source in graph.maker and graph.maker[source].output[0] not in chosen:
                found[name] = None
        return list(found)

    def values(self, names: Sequence[str]) -> Feeds:
        """Tensors as the CPU computes them in the whole graph.

        Args:
            names: graph inputs, or what ops compute. Where one is quantized in one way, its rounded values are
                given: rounding them again is exact, on the HTP as well.
        """
        wanted = {name: self._rounded(name) for name in names}
        missing = sorted({source for source in wanted.values() if source not in self._values})
        if missing:
            model = onnx.ModelProto()
            model.CopyFrom(self.graph.model)
            del model.graph.output[:]
            model.graph.output.extend(self.graph.values[name] for name in missing)
            session = reference_session(model, folder=self.graph.folder)
            read = {each.name for each in session.get_inputs()}
            found = session.run(missing, {name: array for name, array in self._given.items() if name in read})
            self._values |= dict(zip(missing, found, strict=True))
        return {name: np.asarray(self._values[source]) for name, source in wanted.items()}

    def _rounded(self, name: str) -> str:
        readers = self.graph.readers[name]
        if name in self._given or len(readers) != 1 or readers[0].op_type != "QuantizeLinear":
            return name
        dequantized = self.graph.readers[readers[0].output[0]]
        return str(dequantized[0].output[0]) if dequantized else name

    def _described(self, ops: Sequence[onnx.NodeProto]) -> str:
        first, last = (op_name(node) for node in (ops[0], ops[-1]))
        return f"{len(ops)} of {len(self.ops)} ops, {first} to {last}" if len(ops) > 1 else f"{first} alone"


def op_name(node: onnx.NodeProto) -> str:
    """An op's name, or what it computes where it has none."""
    return node.name or str(node.output[0])
