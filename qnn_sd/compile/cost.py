"""What a QDQ graph costs in memory traffic on the HTP, and which of its blocks cost it.

A Snapdragon 8 Gen 3 moves about 77 GB/s: 10 GB through DDR are at least 130 ms, more than a whole
UNet call should take. The compiler knows the traffic when it has laid out a graph; no phone is needed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.compile.floor import Floor, floor_of
from qnn_sd.compile.levels import Tell, nobody, run_at_best_level, split_options
from qnn_sd.compile.process import Job
from qnn_sd.compile.traffic import Traffic, TrafficReader
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
    """A graph's traffic beside its floor.

    Attributes:
        traffic: what the compiler says.
        floor: what no schedule can save.
        level: the optimization level at which it was compiled.
    """

    traffic: Traffic
    floor: Floor
    level: int

    @property
    def beyond(self) -> int:
        """Bytes beyond the floor."""
        return self.traffic.total - self.floor.total


def measure(source: Path, chip: Chip, *, split_graph: bool = False, tell: Tell = nobody) -> Cost:
    """The traffic of one call of a QDQ graph, by compiling it; the binary is thrown away.

    Args:
        source: folder of the QDQ model.
        chip: the SoC.
        split_graph: whether the compiler works on the graph in parts, as for a full-size UNet.
        tell: gets a line for each level at which the compiler died.

    Raises:
        CompileError: the compiler refused the graph, died at every level, or didn't tell everything.
    """
    readers: list[TrafficReader] = []

    def listener() -> TrafficReader:
        readers.append(TrafficReader())
        return readers[-1]

    with tempfile.TemporaryDirectory(prefix="qnn-sd-cost-") as aside:
        options = split_options(split_graph)
        job = Job(source, Path(aside), chip.soc_model, chip.htp_arch, chip.optimization_mode, options, verbose=True)
        compiled = run_at_best_level(job, tell, listener)
    traffic = readers[-1].found
    if not traffic.complete:
        raise CompileError(
            f"The QNN compiler told the memory traffic of {traffic.summaries} of {traffic.parts} parts of {source}",
            why="Its verbose log lacks a DDR bandwidth summary.",
            hint="qnn-sd doctor tells whether the installed versions were tried together.",
        )
    return Cost(traffic, floor_of(QdqGraph(source), chip.on_chip_mb), compiled.level)


def measure_parts(
    source: Path,
    chip: Chip,
    *,
    by_level: bool = False,
    only: Iterable[str] | None = None,
    each: Callable[[str, Cost], None] | None = None,
    tell: Tell = nobody,
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
        tell: gets a line for each level at which the compiler died.

    Raises:
        CompileError: as ``measure``.
    """
    graph, costs = QdqGraph(source), {}
    wanted = None if only is None else set(only)
    for name, ops in graph.grouped(by_level).items():
        if wanted is None or name in wanted:
            with tempfile.TemporaryDirectory(prefix="qnn-sd-part-") as aside:
                graph.extract(ops, Path(aside))
                costs[name] = measure(Path(aside), chip, tell=tell)
            if each is not None:
                each(name, costs[name])
    return costs


def measure_between(
    source: Path, inputs: Iterable[str], outputs: Iterable[str], chip: Chip, *, tell: Tell = nobody
) -> Cost:
    """The cost of what lies between named tensors of a QDQ graph.

    Args:
        source: folder of the QDQ model.
        inputs: tensors at which the cut begins, by their names in the float graph.
        outputs: tensors at which it ends.
        chip: the SoC.
        tell: gets a line for each level at which the compiler died.

    Raises:
        CompileError: as ``measure``.
        SettingError: there is no tensor of such a name, or nothing lies between them.
    """
    graph = QdqGraph(source)
    with tempfile.TemporaryDirectory(prefix="qnn-sd-part-") as aside:
        graph.extract(graph.between(inputs, outputs), Path(aside))
        return measure(Path(aside), chip, tell=tell)
