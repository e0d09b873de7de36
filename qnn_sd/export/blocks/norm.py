"""GroupNorm and LayerNorm in the HTP's forms (docs/htp-forms.md).

ONNX's own GroupNormalization is not grouped into one QDQ unit by the QNN plugin (2.7.0), and
InstanceNormalization on [1, G, N] moves every tensor through memory dozens of times.
"""

from __future__ import annotations

import math

import numpy as np

from qnn_sd.export.blocks.activation import activation
from qnn_sd.export.blocks.basic import add, channels_first, channels_last, mul, reshape
from qnn_sd.export.blocks.linear import Affine, Weights, pointwise
from qnn_sd.export.checkpoint import Array, TensorSource
from qnn_sd.export.graph import Graph, Value

# With fewer rows or columns ``x * sigmoid(x)`` after a norm is computed on [1, C, H*W]: the HTP compiler makes noise of
# the 4-D form at 9 to 12 rows. The flat one is right at every size.
FLAT_ACT_BELOW = 16
# With more pixels a mean is taken of each row and then of the rows'. The HTP adds a pool's integers, less their zero
# point, in 32 bits: over 512x512 pixels a channel wraps around whose mean is an eighth of the range away from zero.
POOL_AT_ONCE_UP_TO = 65536


def affine_of(weights: TensorSource, prefix: str, channels: int) -> Affine:
    """A norm's gamma and beta."""
    return Affine(weights.get(f"{prefix}.weight", (channels,)), weights.get(f"{prefix}.bias", (channels,)))


def layer_norm(g: Graph, name: str, x: Value, affine: Affine | None, epsilon: float) -> Value:
    """LayerNorm (Ba et al. 2016) over the last axis of [..., C].

    Gamma and beta are no part of the op: it is one of integers then (``quantize/qdq_writer.py``).

    Args:
        name: of the layer.
        x: what is normalized.
        affine: gamma and beta; None where they went into the layers that follow.
        epsilon: added to the variance.
    """
    width = x.shape[-1]
    with g.scope(name):
        parameters = [g.constant("gamma", np.ones(width)), g.constant("beta", np.zeros(width))]
        normed = g.node("LayerNormalization", [x, *parameters], x.shape, axis=-1, epsilon=epsilon)
        if affine is None:
            return normed
        scaled = mul(g, normed, g.constant("weight", affine.gamma), "scaled")
        return add(g, scaled, g.constant("bias", affine.beta), "shifted")


def channel_norm(g: Graph, name: str, x: Value, epsilon: float) -> Value:
    """LayerNorm over the channels of an image [1, C, H, W]; gamma and beta are in the layers that follow.

    The HTP keeps channels last, so that neither transpose costs anything there.
    """
    with g.scope(name):
        rows = channels_last(g, x)
    normed = layer_norm(g, name, rows, None, epsilon)
    with g.scope(name):
        return channels_first(g, normed)


def group_norm(
    g: Graph,
    name: str,
    x: Value,
    affine: Affine | None,
    groups: int,
    epsilon: float,
    act: str | None = None,
    shift: Value | None = None,
) -> Value:
    """GroupNorm of [1, C, H, W] (Wu and He 2018), with the activation that follows it.

    The statistics live on [1, C, 1, 1] and [1, G, 1, 1]; from one to the other go 1x1 convs whose matrices have one
    value a row, so that int8 holds them exactly. What touches every pixel is a difference, a product, a sum.

    Args:
        name: of the layer.
        x: what is normalized.
        affine: gamma and beta; None where they went into the layers that follow.
        groups: number of groups; C is a multiple of it.
        epsilon: added to the variance.
        act: the activation's name, or None for none.
        shift: [1, C, 1, 1], added to ``x`` first (the time embedding), or None.
    """
    channels = x.shape[1]
    row = (1, channels, 1, 1)
    member: Array = np.kron(np.eye(groups), np.ones((1, channels // groups))).astype(np.float32)
    share = Weights(member / np.float32(channels // groups))  # [G, C]: a group's mean of its channels
    spread: Array = np.ascontiguousarray(member.T)  # [C, G]: a group's value to each of its channels
    with g.scope(name):
        pooled = _channel_means(g, x)
        if shift is not None:
            pooled = add(g, pooled, shift, "pooled_timed")
        mean = pointwise(g, "channel_mean", pointwise(g, "mean", pooled, share), Weights(spread))
        if shift is None:
            centred = g.node("Sub", [x, mean], x.shape, "centred")
        else:
            centred = add(g, x, g.node("Sub", [shift, mean], row, "to_centre"), "centred")
        variance = pointwise(g, "variance", _channel_means(g, mul(g, centred, centred, "squared")), share)
        one, raised = (np.full((1, 1, 1, 1), value, np.float32) for value in (1, epsilon))
        deviation = g.node("Sqrt", [add(g, variance, g.constant("epsilon", raised))], variance.shape, "deviation")
        inverse = g.node("Div", [g.constant("one", one), deviation], variance.shape, "inverse")
        scale = spread if affine is None else spread * affine.gamma[:, None]
        normed = mul(g, centred, pointwise(g, "scale", inverse, Weights(scale)), "scaled")
        if affine is not None:
            normed = add(g, normed, g.constant("beta", affine.beta.reshape(row)), "shifted")
        if act is None:
            return normed
        if min(x.shape[2:]) < FLAT_ACT_BELOW:
            flat = reshape(g, normed, (1, channels, math.prod(x.shape[2:])))
            return reshape(g, activation(g, act, flat), x.shape)
        return activation(g, act, normed)


def _channel_means(g: Graph, x: Value) -> Value:
    """Each channel's mean: [1, C, 1, 1]."""
    _, channels, height, width = x.shape
    row = (1, channels, 1, 1)
    if height * width <= POOL_AT_ONCE_UP_TO:
        return g.node("GlobalAveragePool", [x], row)
    # Not pools one after the other: of those the compiler makes one.
    rows = g.node("ReduceMean", [x, g.constant("axis", np.array([3]))], (1, channels, height, 1))
    return g.node("ReduceMean", [rows, g.constant("axis", np.array([2]))], row)
