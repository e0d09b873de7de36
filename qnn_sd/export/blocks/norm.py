"""GroupNorm and LayerNorm in the HTP's forms.

ONNX's own GroupNormalization is not grouped into one QDQ unit by the QNN plugin (2.7.0), and
InstanceNormalization on [1, G, N] moves every tensor through memory dozens of times.
"""

from __future__ import annotations

import math

import numpy as np

from qnn_sd.export.blocks.activation import activation
from qnn_sd.export.blocks.basic import add, mul, reshape
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.forms import Forms
from qnn_sd.export.graph import Graph, Value


def layer_norm(g: Graph, weights: TensorSource, prefix: str, x: Value, epsilon: float, forms: Forms) -> Value:
    """LayerNorm over the last axis of [1, N, C]."""
    width = x.shape[-1]
    gamma = weights.get(f"{prefix}.weight", (width,))
    beta = weights.get(f"{prefix}.bias", (width,))
    with g.scope(prefix):
        if x.shape[1] in forms.separate_affine_at:
            normed = _unit_layer_norm(g, x, epsilon)
            scaled = mul(g, normed, g.constant("weight", gamma), "scaled")
            return add(g, scaled, g.constant("bias", beta), "shifted")
        parameters = [g.constant("weight", gamma), g.constant("bias", beta)]
        return g.node("LayerNormalization", [x, *parameters], x.shape, axis=-1, epsilon=epsilon)


def _unit_layer_norm(g: Graph, x: Value, epsilon: float) -> Value:
    """LayerNormalization over the last axis with gamma 1 and beta 0.

    The QNN plugin takes one with 16-bit parameters only if the bias is there.
    """
    width = x.shape[-1]
    parameters = [g.constant("ones", np.ones(width, np.float32)), g.constant("zeros", np.zeros(width, np.float32))]
    return g.node("LayerNormalization", [x, *parameters], x.shape, axis=-1, epsilon=epsilon)


def group_norm(
    g: Graph,
    weights: TensorSource,
    prefix: str,
    x: Value,
    groups: int,
    epsilon: float,
    forms: Forms,
    act: str | None = None,
) -> Value:
    """GroupNorm of [1, C, H, W] (Wu and He 2018), with the activation that follows it.

    Args:
        act: the activation's name, or None for none.
    """
    channels = x.shape[1]
    gamma = weights.get(f"{prefix}.weight", (channels,))
    beta = weights.get(f"{prefix}.bias", (channels,))
    with g.scope(prefix):
        if forms.group_norm == "pooled":
            normed = _pooled(g, x, gamma, beta, groups, epsilon)
        else:
            normed = _layer_norm_statistics(g, x, gamma, beta, groups, epsilon)
        if act is None:
            return reshape(g, normed, x.shape)
        if min(x.shape[2:]) < forms.flat_act_below:
            flat = reshape(g, normed, (1, channels, math.prod(x.shape[2:])))
            return reshape(g, activation(g, act, flat), x.shape)
        return activation(g, act, reshape(g, normed, x.shape))


def _layer_norm_statistics(
    g: Graph, x: Value, gamma: np.ndarray, beta: np.ndarray, groups: int, epsilon: float
) -> Value:
    """Statistics as LayerNormalization on [1, G, N], affine on [1, C, H*W]."""
    channels, pixels = x.shape[1], math.prod(x.shape[2:])
    size = channels // groups * pixels
    grouped = reshape(g, x, (1, groups, size))
    flat = reshape(g, _unit_layer_norm(g, grouped, epsilon), (1, channels, pixels))
    scaled = mul(g, flat, g.constant("weight", gamma.reshape(1, channels, 1)), "scaled")
    return add(g, scaled, g.constant("bias", beta.reshape(1, channels, 1)), "shifted")


def _pooled(g: Graph, x: Value, gamma: np.ndarray, beta: np.ndarray, groups: int, epsilon: float) -> Value:
    """Statistics from average pools, then one multiplication and one addition per pixel.

    The mean over a group's channels is a 1x1 conv on [1, C, 1, 1] with a block-constant matrix.
    """
    channels = x.shape[1]
    per_group = channels // groups
    block = np.kron(np.eye(groups, dtype=np.float32), np.full((per_group, per_group), 1 / per_group, np.float32))
    average = g.constant("group_average", block.reshape(channels, channels, 1, 1))
    row = (1, channels, 1, 1)

    def group_mean(of: Value, name: str) -> Value:
        pooled = g.node("GlobalAveragePool", [of], row)
        return g.node("Conv", [pooled, average], row, name, kernel_shape=[1, 1])

    mean = group_mean(x, "mean")
    centred = g.node("Sub", [x, mean], x.shape, "centred")
    variance = group_mean(mul(g, centred, centred, "squared"), "variance")
    shifted = add(g, variance, g.constant("epsilon", np.full((1, 1, 1, 1), epsilon, np.float32)))
    deviation = g.node("Sqrt", [shifted], row, "deviation")
    scale = g.node("Div", [g.constant("weight", gamma.reshape(row)), deviation], row, "scale")
    offset = g.node("Sub", [g.constant("bias", beta.reshape(row)), mul(g, mean, scale)], row, "offset")
    return add(g, mul(g, x, scale, "scaled"), offset, "shifted")
