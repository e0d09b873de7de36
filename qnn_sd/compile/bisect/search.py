"""The search for the ops at which a graph parts from the CPU, is refused, or crashes the compiler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from qnn_sd.compile.bisect.cuts import Cuts, Measured, Ops
from qnn_sd.compile.bisect.trial import Fault

# A fault of one op is mostly far below the gate; what adds up over many ops is mostly near it. So the first search
# passes over what the second one, at the gate's own level, may find.
FIRST_LEVEL = 35.0
# A cut that loses an op at either end must be better by this, or the error only adds up from op to op.
_SHARP_DB = 3.0
_MOST_COMPILES = 150


@dataclass(frozen=True)
class Culprit:
    """The smallest cut that was found with the fault.

    Attributes:
        ops: its ops, in the graph's order; the last one makes the output that parts.
        outputs: its outputs, by the names under which ops read them; None for all that is read outside.
        measured: what it showed.
        least_db: SQNR below which an output counted as parted.
    """

    ops: Ops
    outputs: tuple[str, ...] | None
    measured: Measured
    least_db: float


class Search:
    """Looks for one fault.

    Args:
        cuts: of the graph.
        fault: what is looked for.
        least_db: SQNR below which an output has parted.
    """

    def __init__(self, cuts: Cuts, fault: Fault, least_db: float) -> None:
        self._cuts, self._fault, self._least_db = cuts, fault, least_db

    def shows(self, measured: Measured) -> bool:
        """Whether a cut has the fault."""
        if self._fault != "parts" or measured.fault is not None:
            return measured.fault == self._fault
        return measured.margin_db(self._least_db) < 0

    def find(self) -> Culprit | None:
        """The first ops with the fault, or None where no cut has it that is smaller, or its error only adds up.

        The whole graph must have the fault.
        """
        window = self._narrow(0, len(self._cuts.ops))
        return None if window is None else self.smallest(self._cuts.ops[slice(*window)])

    def _window(self, start: int, end: int) -> Measured:
        return self._cuts.measure(self._cuts.ops[start:end])

    def _bad(self, start: int, end: int) -> bool:
        return self._cuts.compiles < _MOST_COMPILES and self.shows(self._window(start, end))

    def _narrow(self, start: int, end: int) -> tuple[int, int] | None:
        """The first smallest window with the fault within one that has it: by halves, the first one first."""
        if end - start == 1:
            return start, end
        middle = (start + end) // 2
        if self._bad(start, middle) and (found := self._narrow(start, middle)) is not None:
            return found
        # Before the second half: an earlier fault may lie across the middle. And what is wrong may depend on all that
        # is compiled with it, so ops are left out at the end first.
        if (found := self._trim(start, middle, end)) is not None:
            return found
        return self._narrow(middle, end) if self._bad(middle, end) else None

    def _trim(self, start: int, middle: int, end: int) -> tuple[int, int] | None:
        """The window without ops at its end, then at its start, as long as the fault stays; its first half is right."""
        good, bad = middle, end
        while bad - good > 1:
            tried = (good + bad) // 2
            good, bad = (good, tried) if self._bad(start, tried) else (tried, bad)
        end = bad
        bad, good = start, end
        while good - bad > 1:
            tried = (good + bad) // 2
            bad, good = (tried, good) if self._bad(tried, end) else (bad, tried)
        start = bad
        return (start, end) if self._is_sharp(start, end) else None

    def _is_sharp(self, start: int, end: int) -> bool:
        if self._fault != "parts":
            return True
        here = self._window(start, end).margin_db(self._least_db)
        shorter = [self._window(*each).margin_db(self._least_db) for each in ((start + 1, end), (start, end - 1))]
        return min(shorter) > here + _SHARP_DB

    def smallest(self, ops: Ops) -> Culprit:
        """Leaves out of a cut with the fault every op that it doesn't need.

        What is left out is computed by the CPU, as all before the cut is.
        """
        outputs: tuple[str, ...] | None = None
        measured = self._cuts.measure(ops)
        if self._fault == "parts":
            # First of all what the output that parts doesn't depend on.
            output = measured.parted(self._least_db)[0].name
            needed = self._ancestors(ops, output)
            alone = self._cuts.measure(needed, (output,))
            if self.shows(alone):
                ops, outputs, measured = needed, (output,), alone
        size = len(ops) // 2
        while size >= 1:
            kept, place = ops, 0
            while place < len(kept):
                fewer = kept[:place] + kept[place + size :]
                if outputs is not None:
                    fewer = self._ancestors(fewer, outputs[0])
                if fewer and len(fewer) < len(kept) and self._shown(fewer, outputs):
                    kept, measured = fewer, self._cuts.measure(fewer, outputs)
                else:
                    place += size
            size = size // 2 if len(kept) == len(ops) else min(size, max(len(kept) // 2, 1))
            ops = kept
        return Culprit(ops, outputs, measured, self._least_db)

    def _shown(self, ops: Ops, outputs: tuple[str, ...] | None) -> bool:
        return self._cuts.compiles < _MOST_COMPILES and self.shows(self._cuts.measure(ops, outputs))

    def _ancestors(self, ops: Sequence[onnx.NodeProto], output: str) -> Ops:
        """Those ops that an output depends on, by way of these ops alone; none where no op among them makes it."""
        graph, chosen = self._cuts.graph, {node.output[0] for node in ops}
        pending, needed = [output], set()
        while pending:
            maker = graph.maker.get(pending.pop())
            if maker is None or maker.output[0] in needed:
                continue
            if maker.output[0] in chosen or maker.op_type in ("QuantizeLinear", "DequantizeLinear"):
                needed.add(maker.output[0])
                pending.extend(maker.input)
        return tuple(node for node in ops if node.output[0] in needed)
