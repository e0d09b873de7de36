"""What a stage takes: the figures of the model whose networks are the most alike, scaled.

Time goes with the parameters; a share of it with the pixels, and a share with the cores (``StageFigures``).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qnn_sd.artifact_manifest import Work
from qnn_sd.estimates.figures import ModelFigures, load_figures
from qnn_sd.estimates.machine import Machine

# Attention grows with the square of the pixels, and is a small part of all.
_PIXEL_EXPONENT = 1.1
# It is fed tokens, whatever the image.
_WITHOUT_PIXELS = "text_encoder"
_LEAST_SECONDS = 0.01


@dataclass(frozen=True)
class Estimate:
    """What something is expected to take.

    Attributes:
        seconds: by the clock.
        memory: bytes held at once.
        disk: bytes that stay.
        scratch: bytes of disk that are needed for a while.
    """

    seconds: float
    memory: float
    disk: float
    scratch: float = 0.0


def estimate(stage: str, work: Work, machine: Machine) -> Estimate:
    """What a stage is expected to take.

    Args:
        stage: its name.
        work: what there is to do.
        machine: where.

    Raises:
        KeyError: nothing is known of such a stage.
    """
    model = _most_alike(work)
    figures = model.stages[f"{stage}.{work.variant}" if work.variant else stage]
    seconds = memory = disk = scratch = 0.0
    for component, parameters in work.parameters.items():
        size = parameters / model.parameters[component]
        pixels = 1.0 if component == _WITHOUT_PIXELS else work.pixels / model.pixels
        grown = size * _mix(figures.by_pixels, pixels**_PIXEL_EXPONENT)
        calls = sum(figures.per_call.get(component, {}).get(name, 0.0) * n for name, n in _calls_of(work, component))
        seconds += grown * (figures.seconds.get(component, 0.0) + calls)
        held = figures.memory.get(component, 0.0) * 1e9
        memory = max(memory, held * ((1 - figures.memory_by_pixels) * size + figures.memory_by_pixels * pixels))
        disk += figures.disk.get(component, 0.0) * size * 1e9
        scratch = max(scratch, figures.scratch.get(component, 0.0) * size * 1e9)
    pace = (1 - figures.parallel) / machine.one_core + figures.parallel / machine.all_cores
    return Estimate(max(seconds * pace, _LEAST_SECONDS), memory, disk, scratch)


def _mix(share: float, factor: float) -> float:
    return 1 - share + share * factor


def _calls_of(work: Work, component: str) -> Iterator[tuple[str, int]]:
    """What is done with a component, and how often; of the whole model calls are by component."""
    if work.component is not None:
        yield from work.calls.items()
    elif component in work.calls:
        yield "call", work.calls[component]


def _most_alike(work: Work) -> ModelFigures:
    """The model with the nearest number of parameters, as a ratio."""

    def distance(model: ModelFigures) -> float:
        ratios = [abs(math.log(count / model.parameters[name])) for name, count in work.parameters.items() if count]
        return sum(ratios)

    return min(load_figures().models.values(), key=distance)


def makespan(seconds: Iterable[float], cores: int) -> float:
    """Seconds that pieces of work take side by side, one to a core, in their order."""
    busy = [0.0] * cores
    for each in seconds:
        heapq.heapreplace(busy, busy[0] + each)
    return max(busy)


def how_many_fit(memory: Iterable[float], cores: int, free: float | None) -> int:
    """How many pieces of work fit side by side: one a core, and the largest of them into the memory; at least one.

    Args:
        memory: bytes that each holds.
        cores: that may be used.
        free: bytes of memory; None where nobody knows.
    """
    most = 1
    held = 0.0
    for each in sorted(memory, reverse=True)[:cores]:
        held += each
        if free is not None and held > free:
            break
        most += 1
    return max(most - 1, 1)
