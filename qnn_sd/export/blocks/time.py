"""The time embedding: sinusoids of the timestep, then two linear layers."""

from __future__ import annotations

import math

import numpy as np

from qnn_sd.export.blocks.activation import activation
from qnn_sd.export.blocks.basic import add, linear_row, mul, reshape
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.graph import Graph, Value

# Of the frequencies, which span four decades.
_BANDS = 8


def sinusoids(g: Graph, timestep: Value, width: int, flip_sin_to_cos: bool, freq_shift: float) -> Value:
    """Sinusoidal embedding (Vaswani et al. 2017, as Ho et al. 2020 use it) of [1]: [1, width].

    The cosine is an op of its own: as a sine of the angle plus a quarter turn it would be rounded once more, and by the
    HTP otherwise than by the CPU. The fastest angle reaches 1000, so that a step of 16 bits is 1/65 of a radian, and
    the HTP's product is off by a step where the CPU's isn't. Each octave or two of frequencies has an encoding of its
    own: so only the fastest ones have steps so wide (docs/decisions.md).
    """
    half = width // 2
    frequencies = np.exp(-math.log(10_000) * np.arange(half) / (half - freq_shift)).astype(np.float32)
    with g.scope("time_proj"):
        time = reshape(g, timestep, (1, 1))
        sines, cosines = [], []
        for number, some in enumerate(np.array_split(frequencies, min(_BANDS, half))):
            with g.scope(f"band{number}"):
                angles = mul(g, time, g.constant("frequencies", some[None]), "angles")
                sines.append(g.node("Sin", [angles], angles.shape))
                cosines.append(g.node("Cos", [angles], angles.shape))
        ordered = [*cosines, *sines] if flip_sin_to_cos else [*sines, *cosines]
        return g.node("Concat", ordered, (1, width), axis=1)


def time_embedding(
    g: Graph,
    weights: TensorSource,
    timestep: Value,
    width: int,
    out_width: int,
    act: str,
    flip_sin_to_cos: bool,
    freq_shift: float,
    condition: Value | None,
) -> Value:
    """The activated time embedding [1, out_width] that every ResNet block projects.

    Args:
        timestep: [1], in training steps.
        condition: [1, time_cond_proj_dim], the guidance embedding of LCM checkpoints, or None.
    """
    row = sinusoids(g, timestep, width, flip_sin_to_cos, freq_shift)
    if condition is not None:
        row = add(g, row, linear_row(g, weights, "time_embedding.cond_proj", condition, width, bias=False))
    row = linear_row(g, weights, "time_embedding.linear_1", row, out_width)
    with g.scope("time_embedding"):
        row = activation(g, act, row)
    row = linear_row(g, weights, "time_embedding.linear_2", row, out_width)
    with g.scope("time_embedding"):
        # Every ResNet block activates the embedding before projecting it: once is enough. diffusers
        # uses SiLU there unless the UNet's act_fn says otherwise.
        return activation(g, act, row)
