"""What a QDQ graph costs on the HTP in memory traffic and time, and which of its blocks cost it.

A Snapdragon 8 Gen 3 moves about 77 GB/s: 10 GB through DDR are at least 130 ms, more than a whole
UNet call should take. The compiler knows the traffic when it has laid out a graph, and estimates the time for some
SoCs; no phone is needed. Less traffic is not less time (docs/htp-forms.md): look at both, of one compile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.compile.estimate import Estimate, profiling_options, read_estimate
from qnn_sd.compile.macs import macs_of
from qnn_sd.compile.optimization_level import Report, no_op, run_at_best_level
from qnn_sd.compile.process import Job
from qnn_sd.compile.traffic import Traffic, TrafficReader
from qnn_sd.compile.traffic_bound import TrafficBound, traffic_bound
from qnn_sd.compile.uncosted_ops import with_stand_ins
from qnn_sd.errors import CompileError


@dataclass(frozen=True)
class Chip:
    """What the compiler is told of a SoC.

    Attributes:
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
        on_chip_mb: the HTP's own memory (VTCM), in MiB.
        optimization_mode: ``htp_graph_finalization_optimization_mode``, 1 to 3.
    """

    soc_model: int
    htp_arch: int
    on_chip_mb: float
    optimization_mode: int = 3


@dataclass(frozen=True)
class Cost:
    """A graph's traffic beside its floor, and its time.

    Attributes:
        traffic: what the compiler says.
        floor: what no schedule can save.
        level: the optimization level at which it was compiled.
        macs: multiply-accumulates of convolutions and products.
        estimate: of the time, or None for a SoC that the compiler has none for.
    """

    traffic: Traffic
    floor: TrafficBound
    level: int
    macs: int
    estimate: Estimate | None

    @property
    def macs_per_cycle(self) -> float | None:
        """Of the estimate: what is slow for its work stands out."""
        return self.macs / self.estimate.cycles if self.estimate and self.estimate.cycles else None

    @property
    def beyond(self) -> int:
        """Bytes beyond the floor."""
        return self.traffic.total - self.floor.total


def measure(source: Path, chip: Chip, *, report: Report = no_op) -> Cost:
    """The traffic and the time of one call of a QDQ graph, by compiling it; the binary is thrown away.

    Args:
        source: folder of the QDQ model.
        chip: the SoC.
        report: gets a line for each level at which the compiler crashed.

    Raises:
        CompileError: the compiler refused the graph, crashed at every level, or did not report everything.
    """
    readers: list[TrafficReader] = []

    def listener() -> TrafficReader:
        readers.append(TrafficReader())
        return readers[-1]

    with tempfile.TemporaryDirectory(prefix="qnn-sd-cost-") as aside:
        # In the job's folder, which is emptied where the compiler crashes: what it wrote before mustn't be counted.
        profile = Path(aside) / "profile.csv"
        options = profiling_options(profile)
        job = Job(source, Path(aside), chip.soc_model, chip.htp_arch, chip.optimization_mode, options, verbose=True)
        compiled = run_at_best_level(job, report, listener)
        estimate = read_estimate(profile)
    traffic = readers[-1].found
    if not traffic.complete:
        raise CompileError(
            f"The QNN compiler reported no memory traffic of {source}",
            why=f"Its verbose log has {traffic.summaries} DDR bandwidth summaries, not one.",
            hint="qnn-sd doctor tells whether the installed versions were tried together.",
        )
    graph = QdqGraph(source)
    return Cost(traffic, traffic_bound(graph, chip.on_chip_mb), compiled.level, macs_of(graph), estimate)


def measure_bound(source: Path, cost: Cost, chip: Chip, *, report: Report = no_op) -> Estimate | None:
    """An upper bound for the time of a graph with uncosted ops: the estimate with a product in the place of each.

    Args:
        source: folder of the QDQ model.
        cost: what was measured of it.
        chip: the SoC.
        report: gets a line for each level at which the compiler crashed.

    Returns:
        The bound; the graph's own estimate where every op has a cost; None where the SoC has no estimate.

    Raises:
        CompileError: as ``measure``.
    """
    if cost.estimate is None or not cost.estimate.uncosted:
        return cost.estimate
    with tempfile.TemporaryDirectory(prefix="qnn-sd-bound-") as aside:
        with_stand_ins(source, frozenset(cost.estimate.uncosted), Path(aside))
        bound = measure(Path(aside), chip, report=report).estimate
    if bound is None or bound.ms >= cost.estimate.ms:
        return bound
    # Another schedule, which happens to be the faster one: then the graph's own is the bound.
    return replace(cost.estimate, uncosted=bound.uncosted)


def measure_parts(
    source: Path,
    chip: Chip,
    *,
    by_level: bool = False,
    only: Iterable[str] | None = None,
    each: Callable[[str, Cost], None] | None = None,
    report: Report = no_op,
) -> dict[str, Cost]:
    """The cost of each block (or level) compiled alone: which of them move the bytes.

    A part's inputs and outputs cross the memory here, as they needn't in the whole graph; its floor
    counts them, so that what lies beyond the floor is the part's own.

    Args:
        source: folder of the QDQ model.
        chip: the SoC.
        by_level: whole levels (resolutions) instead of blocks.
        only: names of the parts to measure, as this function returns them; None for all.
        each: called with each part's cost as it is known.
        report: gets a line for each level at which the compiler crashed.

    Raises:
        CompileError: as ``measure``.
    """
    graph, costs = QdqGraph(source), {}
    wanted = None if only is None else set(only)
    for name, ops in graph.grouped(by_level).items():
        if wanted is None or name in wanted:
            with tempfile.TemporaryDirectory(prefix="qnn-sd-part-") as aside:
                graph.extract(ops, Path(aside))
                costs[name] = measure(Path(aside), chip, report=report)
            if each is not None:
                each(name, costs[name])
    return costs


def measure_between(
    source: Path, inputs: Iterable[str], outputs: Iterable[str], chip: Chip, *, report: Report = no_op
) -> Cost:
    """The cost of what lies between named tensors of a QDQ graph.

    Args:
        source: folder of the QDQ model.
        inputs: tensors at which the cut begins, by their names in the float graph.
        outputs: tensors at which it ends.
        chip: the SoC.
        report: gets a line for each level at which the compiler crashed.

    Raises:
        CompileError: as ``measure``.
        SettingError: there is no tensor of such a name, or nothing lies between them.
    """
    graph = QdqGraph(source)
    with tempfile.TemporaryDirectory(prefix="qnn-sd-part-") as aside:
        graph.extract(graph.between(inputs, outputs), Path(aside))
        return measure(Path(aside), chip, report=report)
