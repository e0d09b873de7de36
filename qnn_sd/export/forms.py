"""The forms that the HTP computes faithfully and cheaply, each with its reason and its switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Forms:
    """Which form each construct is written in. Every choice computes the same function in float.

    Attributes:
        group_norm: ``pooled`` builds the statistics from average pools and never lays the tensor
            out anew: the least memory traffic, and the faster one on the emulator. ``layer_norm``
            takes them with LayerNormalization on [1, G, N] and applies the affine on [1, C, H*W]:
            2 to 7 dB more faithful to the QDQ graph.
        flat_act_below: below this height or width, ``x * sigmoid(x)`` after a norm is computed on
            [1, C, H*W]. The HTP compiler of QAIRT 2.51 gets the 4-D form wrong at 8x8 and 4x4
            (noise); 12x12 and larger measured right, what lies between is treated as wrong.
        separate_affine_at: numbers of tokens at which LayerNorm's gamma and beta are a Mul and an Add
            of their own. With exactly 16 rows the HTP compiler of QAIRT 2.51 gets a
            LayerNormalization followed by a product with constant weights wrong (noise, whatever
            the width; 4, 8, 15, 17, 32 and more rows are right); with an op between the two it is
            right.
        mask_value: what masked attention scores get. -inf has no encoding, and -1e4 would leave
            the uint16 scores a step of 0.15; exp(-100) is zero beside any real score.
    """

    group_norm: Literal["layer_norm", "pooled"] = "pooled"
    flat_act_below: int = 12
    separate_affine_at: tuple[int, ...] = (16,)
    mask_value: float = -100.0
