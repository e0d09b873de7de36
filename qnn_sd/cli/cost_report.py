"""What ``qnn-sd cost`` says of its measurements: tables and lines for people, a document for scripts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from qnn_sd.cli.cost_graphs import ORIGIN
from qnn_sd.cli.cost_measure import Costs, Measured
from qnn_sd.cli.cost_scale import Scaling
from qnn_sd.cli.documents import CostDocument
from qnn_sd.cli.documents.cost import (
    By,
    CompiledCost,
    ComponentCost,
    GraphCost,
    Scale,
    TimeBound,
    TimeEstimate,
    Traffic,
    UncostedOp,
)
from qnn_sd.cli.stage_output import image_size
from qnn_sd.compile.estimate import Estimate
from qnn_sd.config import ModelConfig
from qnn_sd.console import Console

# How far estimates have been from silicon; the measurements are in docs/htp-forms.md.
FAR_FROM_SILICON = (
    "An estimate is the compiler's, no measurement: it was 0.33 to 1.61 times what 13 published networks took on the "
    "chip, geometric mean 1.00 (docs/htp-forms.md)."
)
_SUM = "A part compiled alone moves its own ends through memory, as it needn't in the whole: the sum is more."
_COLUMNS = ("lower", "upper", "MB", "spilled, filled", "bound MB", "GMAC", "MAC/cycle", "uncosted ops")


def figure(value: float) -> str:
    """A number with three significant digits, none of them beyond the third decimal."""
    if not value:
        return "0"
    decimals = min(max(2 - math.floor(math.log10(abs(value))), 0), 3)
    return f"{value:,.{decimals}f}"


@dataclass(frozen=True)
class Line:
    """One line of a table, and one entry of the document.

    Attributes:
        times: ms, its lower and its upper figure.
        cycles: of the SoC that was compiled for.
        macs: multiply-accumulates.
        read: bytes.
        written: bytes.
        spilled: bytes of those written.
        filled: bytes of those read.
        traffic_bound: bytes.
        uncosted: how many ops count as nothing.
    """

    times: tuple[float, float, float]
    cycles: int
    macs: int
    read: int
    written: int
    spilled: int
    filled: int
    traffic_bound: int
    uncosted: int

    @classmethod
    def of(cls, measured: Measured) -> Line:
        """The line of a graph or a part."""
        cost, estimate = measured.cost, measured.estimate
        traffic = cost.traffic
        return cls(
            (estimate.ms, estimate.lower_ms, estimate.upper_ms),
            estimate.cycles,
            cost.macs,
            traffic.read,
            traffic.written,
            traffic.spilled,
            traffic.filled,
            cost.floor.total,
            len(estimate.uncosted),
        )

    @classmethod
    def sum_of(cls, lines: Sequence[Line]) -> Line:
        """All figures of some lines added up."""
        ms, lower, upper = (sum(line.times[place] for line in lines) for place in range(3))
        names = ("cycles", "macs", "read", "written", "spilled", "filled", "traffic_bound", "uncosted")
        return cls((ms, lower, upper), *(sum(getattr(line, name) for line in lines) for name in names))

    @property
    def macs_per_cycle(self) -> float | None:
        """What is slow for its work stands out."""
        return self.macs / self.cycles if self.cycles else None

    def row(self, name: str) -> list[object]:
        """Of the table."""
        rate = self.macs_per_cycle
        moved, stored = self.read + self.written, self.spilled + self.filled
        numbers = [*self.times, moved / 1e6, stored / 1e6, self.traffic_bound / 1e6, self.macs / 1e9]
        return [name, *numbers, "-" if rate is None else rate, self.uncosted]

    @property
    def content(self) -> dict[str, Any]:
        """The fields of the JSON document's entry."""
        rate = self.macs_per_cycle
        return {
            "estimate": TimeEstimate(**_times(*self.times)),
            "traffic": Traffic(
                read_bytes=self.read,
                written_bytes=self.written,
                spilled_bytes=self.spilled,
                filled_bytes=self.filled,
            ),
            "traffic_bound_bytes": self.traffic_bound,
            "macs": self.macs,
            "cycles": self.cycles,
            "macs_per_cycle": None if rate is None else round(rate, 3),
            "uncosted_op_count": self.uncosted,
        }


def show_costs(console: Console, costs: Sequence[Costs], by: str) -> None:
    """Prints a table for each graph, and what holds for all of them once."""
    scaling = costs[0].scaling
    for each in costs:
        _show(console, each, by)
    console.result(FAR_FROM_SILICON)
    if any(each.whole is not None and each.parts for each in costs):
        console.result(_SUM)
    if scaling.scales:
        console.result(_of_the_build(scaling))


def _of_the_build(scaling: Scaling) -> str:
    asked, built = scaling.soc.soc, scaling.compiled_for.soc
    return f"Only times are scaled to {asked}: traffic, its bound and MAC/cycle are those of the build for {built}."


def _show(console: Console, costs: Costs, by: str) -> None:
    label = costs.scaling.label(costs.component)
    soc = costs.scaling.soc.soc
    console.result(f"{costs.subject.name}, {soc}{f', estimate {label}' * bool(label)}; {_origin(costs)}")
    lines = {name: Line.of(each) for name, each in costs.parts.items()}
    rows = [line.row(name) for name, line in sorted(lines.items(), key=lambda item: -item[1].times[0])]
    if costs.whole is not None:
        rows.insert(0, Line.of(costs.whole).row("whole"))
        if lines:
            rows.append(Line.sum_of(list(lines.values())).row(f"sum of {len(lines)} {by}s"))
    console.table(["", f"estimate{' (scaled)' * costs.scaling.scales}, ms", *_COLUMNS], rows, figure)
    if names := costs.uncosted:
        console.result(f"Ops that the compiler has no cost for count as nothing: {costs.kinds(names)}.")
    if costs.bound is not None:
        console.result(_bound(costs, costs.bound))
    console.result("")


def _origin(costs: Costs) -> str:
    return ORIGIN[costs.subject.encodings]


def _bound(costs: Costs, bound: Estimate) -> str:
    if not costs.uncosted:
        return "Every op has a cost: the estimate needs no bound."
    told = f"{figure(bound.ms)} ms ({figure(bound.lower_ms)} to {figure(bound.upper_ms)})"
    if bound.uncosted:
        return f"No bound: {told} with products in the place of others, but {costs.kinds(bound.uncosted)} have no cost."
    return f"Bound of the estimate, with a product of the same shape in the place of each of them: {told}."


def as_document(costs: Sequence[Costs], by: By, model: ModelConfig | None) -> CostDocument:
    """The JSON document.

    Args:
        costs: of each graph.
        by: ``whole``, ``level`` or ``block``.
        model: whose graphs were measured; None for a graph that was given.
    """
    scaling = costs[0].scaling
    return CostDocument(
        model=None if model is None else model.name,
        size=None if model is None else image_size(model),
        soc=scaling.soc.soc,
        compiled_for=scaling.compiled_for.soc,
        scaled=scaling.scales,
        by=by,
        about_estimates=FAR_FROM_SILICON,
        components={each.subject.name: _component(each) for each in costs},
    )


def _component(costs: Costs) -> ComponentCost:
    scaling, whole, bound = costs.scaling, costs.whole, costs.bound
    lines = {name: Line.of(each) for name, each in costs.parts.items()}
    scale = None
    if scaling.scales:
        scale = Scale(
            soc=scaling.compiled_for.soc,
            ratio=scaling.ratio(costs.component),
            component=scaling.published(costs.component),
        )
    return ComponentCost(
        graph=costs.subject.encodings,
        folder=str(costs.subject.folder),
        scale=scale,
        whole=None if whole is None else _entry(Line.of(whole), whole),
        bound=None
        if bound is None
        else TimeBound(**_times(bound.ms, bound.lower_ms, bound.upper_ms), uncosted_ops=_named(bound.uncosted, costs)),
        parts={name: _entry(lines[name], each) for name, each in costs.parts.items()},
        sum=GraphCost(**Line.sum_of(list(lines.values())).content) if whole is not None and lines else None,
        uncosted_ops=_named(costs.uncosted, costs),
    )


def _entry(line: Line, measured: Measured) -> CompiledCost:
    return CompiledCost(**line.content, optimization_mode=measured.cost.level)


def _named(names: Iterable[str], costs: Costs) -> list[UncostedOp]:
    return [UncostedOp(name=name, op=costs.op_types.get(name, "")) for name in names]


def _times(ms: float, lower: float, upper: float) -> dict[str, float]:
    return {"ms": round(ms, 6), "lower_ms": round(lower, 6), "upper_ms": round(upper, 6)}
