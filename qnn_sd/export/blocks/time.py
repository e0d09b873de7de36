"""The time embedding: sinusoids of the timestep, then two linear layers."""

from __future__ import annotations

import math

import numpy as np

from qnn_sd.export.blocks.activation import activation
from qnn_sd.export.blocks.basic import add, linear_row, mul, reshape
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.graph import Graph, Value


def sinusoids(g: Graph, timestep: Value, width: int, flip_sin_to_cos: bool, freq_shift: float) -> Value:
    """Sinusoidal embedding (Vaswani et al. 2017, as Ho et al. 2020 use it) of [1]: [1, width].

    A cosine is a sine a quarter turn ahead, so one Sin makes both halves.
    """
    half = width // 2
    frequencies = np.exp(-math.log(10_000) * np.arange(half) / (half - freq_shift))
    phases = np.array([math.pi / 2, 0.0] if flip_sin_to_cos else [0.0, math.pi / 2])
    with g.scope("time_proj"):
        turns = mul(
            g,
            reshape(g, timestep, (1, 1)),
            g.constant("frequencies", np.tile(frequencies, 2).reshape(1, width).astype(np.float32)),
            "angles",
        )
        ahead = g.constant("phases", np.repeat(phases, half).reshape(1, width).astype(np.float32))
        return g.node("Sin", [add(g, turns, ahead, "phased")], (1, width))


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
