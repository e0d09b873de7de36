"""What layers are rounded on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.quantize.adaround.backend import NUMPY, Backend
from qnn_sd.runner import Feeds


@dataclass(frozen=True)
class RoundingData:
    """What layers are rounded on.

    Attributes:
        samples: feeds of the graph by input name, recorded along trajectories of the float model.
        held_out: others, of other prompts, that nothing is fitted to.
        work: a folder that survives an interrupted run: what it holds of the same run is used again.
        on_layer: called after each layer with the layers done and how many there are.
        on_operand_run: called after each run that judges 8-bit keys and values, with how many there are at least.
        backend: where matrices are computed.
    """

    samples: Sequence[Feeds]
    held_out: Sequence[Feeds]
    work: Path
    on_layer: Callable[[int, int], None] = lambda _done, _all: None
    on_operand_run: Callable[[int], None] = lambda _all: None
    backend: Backend = NUMPY
