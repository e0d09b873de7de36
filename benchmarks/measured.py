"""Encodings that measured ranges give, as the kit chooses them: what benchmarks vary."""

from __future__ import annotations

from dataclasses import dataclass

from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize.calibration import Samples
from qnn_sd.quantize.encodings.from_ranges import NO_RANGES, Encodings, encodings_from_ranges
from qnn_sd.quantize.graph.float_graph import FloatGraph
from qnn_sd.quantize.graph.op_rules import RANGE_MARGIN
from qnn_sd.quantize.ranges.measured import Ranges, measure


@dataclass(frozen=True)
class Measured:
    """A component's ranges.

    Attributes:
        graph: the float graph.
        samples: those of the model's own guidance.
        usual: ranges that these have.
        rare: ranges of the other guidance scales' samples.
        inputs: what inputs may be.
    """

    graph: FloatGraph
    samples: Samples
    usual: Ranges
    rare: Ranges
    inputs: Ranges

    def encodings(self, room: float = RANGE_MARGIN) -> Encodings:
        """Encodings with the usual samples' ranges widened by ``room``."""
        return encodings_from_ranges(self.graph, self.usual, room, self.inputs, self.rare)


def measured(pipeline: BuildPipeline, component: str) -> Measured:
    """Measures the ranges of what a component is calibrated with."""
    folder = pipeline.export(component).folder
    usual, rare = pipeline.samples_by_guidance(component)
    ranges = [measure(folder, some, lambda: None) if len(some) else NO_RANGES for some in (usual, rare)]
    return Measured(FloatGraph(folder), usual, *ranges, pipeline.known_inputs)
