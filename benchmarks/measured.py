"""Encodings that measured ranges give, as the kit chooses them: what benchmarks vary."""

from __future__ import annotations

from dataclasses import dataclass

from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize.calibration import Samples
from qnn_sd.quantize.encodings import Encodings, encodings_from_ranges
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.ranges import NO_RANGES, RANGE_MARGIN, Ranges, measure


@dataclass(frozen=True)
class Measured:
    """A component's ranges.

    Attributes:
        graph: the float graph.
        samples: those of the model's default guidance.
        default_guidance: ranges that these have.
        other_guidance: ranges of the other guidance scales' samples.
        input_ranges: what inputs may be.
    """

    graph: FloatGraph
    samples: Samples
    default_guidance: Ranges
    other_guidance: Ranges
    input_ranges: Ranges

    def encodings(self, margin: float = RANGE_MARGIN) -> Encodings:
        """Encodings with the default guidance's ranges widened by ``margin``."""
        return encodings_from_ranges(self.graph, self.default_guidance, margin, self.input_ranges, self.other_guidance)


def measured(pipeline: BuildPipeline, component: str) -> Measured:
    """Measures the ranges of what a component is calibrated with."""
    folder = pipeline.export(component).folder
    default, other = pipeline.samples_by_guidance(component)
    ranges = [measure(folder, some, lambda: None) if len(some) else NO_RANGES for some in (default, other)]
    return Measured(FloatGraph(folder), default, *ranges, pipeline.known_inputs)
