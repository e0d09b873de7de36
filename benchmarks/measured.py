"""Encodings that measured ranges give, as the kit chooses them: what benchmarks vary."""

from __future__ import annotations

from dataclasses import dataclass

from qnn_sd.build import Road
from qnn_sd.quantize.calibration import Samples
from qnn_sd.quantize.choose import NO_RANGES, Encodings, choose_encodings
from qnn_sd.quantize.float_graph import FloatGraph
from qnn_sd.quantize.ranges import Ranges, measure
from qnn_sd.quantize.rules import ROOM


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

    def encodings(self, room: float = ROOM) -> Encodings:
        """Encodings with the usual samples' ranges widened by ``room``."""
        return choose_encodings(self.graph, self.usual, room, self.inputs, self.rare)


def measured(road: Road, component: str) -> Measured:
    """Measures the ranges of what a component is calibrated with."""
    folder = road.export(component).folder
    usual, rare = road.usual_and_rare(road.calibration(), component)
    ranges = [measure(folder, some, lambda: None) if len(some) else NO_RANGES for some in (usual, rare)]
    return Measured(FloatGraph(folder), usual, *ranges, road.known_inputs)
