"""What is known of a reproduction that was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reproduction:
    """What was written.

    Attributes:
        path: of the zip file.
        size: its bytes.
        sqnr_db: of its worst output; None where the compiler refuses it or crashes.
        ops: how many ops it has, beside QuantizeLinear and DequantizeLinear.
        own_weights: whether weights of the graph are inside: with random ones the fault was gone.
        own_inputs: whether the graph's inputs are inside, for the same reason.
        own_names: whether the graph's names are.
    """

    path: Path
    size: int
    sqnr_db: float | None
    ops: int
    own_weights: bool
    own_inputs: bool
    own_names: bool
