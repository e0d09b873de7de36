"""GroupNorm and LayerNorm in the HTP's forms.

ONNX's own GroupNormalization is not grouped into one QDQ unit by the QNN plugin (2.7.0), and
InstanceNormalization on [1, G, N] moves every tensor through memory dozens of times.
"""

from __future__ import annotations

import math

import numpy as np

from qnn_sd.export.blocks.activation import activation
from qnn_sd.export.blocks.basic import add, mul, reshape
from qnn_sd.export.blocks.linear import Affine
from qnn_sd.export.checkpoint import Array, TensorSource
from qnn_sd.export.forms import Forms
from qnn_sd.export.graph import Graph, Value


def affine_of(weights: TensorSource, prefix: str, channels: int) -> Affine:
    """A norm's gamma and beta."""
    return Affine(weights.get(f"{prefix}.weight", (channels,)), weights.get(f"{prefix}.bias", (channels,)))


def fold(affine: Affine, forms: Forms) -> tuple[Affine | None, Affine | None]:
    """A norm's gamma and beta: what stays at the norm, and what goes into the layers that follow."""
    return (None, affine) if forms.fold_affine else (affine, None)


def layer_norm(g: Graph, name: str, x: Value, affine: Affine | None, epsilon: float, forms: Forms) -> Value:
    """LayerNorm (Ba et al. 2016) over the last axis of [1, N, C].

    Args:
        name: of the layer.
        x: tokens.
        affine: gamma and beta; None where they went into the layers that follow.
        epsilon: added to the variance.
        forms: ``separate_affine_at`` says where gamma and beta are ops of their own.
    """
    width = x.shape[-1]
    ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
    gamma, beta = (ones, zeros) if affine is None else (affine.gamma, affine.beta)
    with g.scope(name):
        if x.shape[1] not in forms.separate_affine_at:
            return _layer_normalization(g, x, gamma, beta, epsilon)
        scaled = mul(g, _layer_normalization(g, x, ones, zeros, epsilon), g.constant("weight", gamma), "scaled")
        return scaled if affine is None else add(g, scaled, g.constant("bias", beta), "shifted")


def _layer_normalization(g: Graph, x: Value, gamma: Array, beta: Array, epsilon: float) -> Value:
    """The op. The QNN plugin takes one with 16-bit parameters only if the bias is there."""
    parameters = [g.constant("gamma", gamma), g.constant("beta", beta)]
    return g.node("LayerNormalization", [x, *parameters], x.shape, axis=-1, epsilon=epsilon)


def group_norm(
    g: Graph,
    name: str,
    x: Value,
    affine: Affine | None,
    groups: int,
    epsilon: float,
    forms: Forms,
    act: str | None = None,
    shift: Value | None = None,
) -> Value:
    """GroupNorm of [1, C, H, W] (Wu and He 2018), with the activation that follows it.

    Args:
        name: of the layer.
        x: what is normalized.
        affine: gamma and beta; None where they went into the layers that follow.
        groups: number of groups; C is a multiple of it.
        epsilon: added to the variance.
        forms: which form.
        act: the activation's name, or None for none.
        shift: [1, C, 1, 1], added to ``x`` first (the time embedding), or None.
    """
    channels = x.shape[1]
    with g.scope(name):
        if forms.group_norm == "pooled":
            normed = _Pooled(g, channels, groups, epsilon, forms)(x, affine, shift)
        else:
            shifted = x if shift is None else add(g, x, shift, "timed")
            normed = _layer_norm_statistics(g, shifted, affine, groups, epsilon)
        if act is None:
            return reshape(g, normed, x.shape)
        if min(x.shape[2:]) < forms.flat_act_below:
            flat = reshape(g, normed, (1, channels, math.prod(x.shape[2:])))
            return reshape(g, activation(g, act, flat), x.shape)
        return activation(g, act, reshape(g, normed, x.shape))


def _layer_norm_statistics(g: Graph, x: Value, affine: Affine | None, groups: int, epsilon: float) -> Value:
    """Statistics as LayerNormalization on [1, G, N], affine on [1, C, H*W]."""
    channels, pixels = x.shape[1], math.prod(x.shape[2:])
    size = channels // groups * pixels
    ones, zeros = np.ones(size, np.float32), np.zeros(size, np.float32)
    normed = _layer_normalization(g, reshape(g, x, (1, groups, size)), ones, zeros, epsilon)
    flat = reshape(g, normed, (1, channels, pixels))
    if affine is None:
        return flat
    scaled = mul(g, flat, g.constant("weight", affine.gamma.reshape(1, channels, 1)), "scaled")
    return add(g, scaled, g.constant("bias", affine.beta.reshape(1, channels, 1)), "shifted")


class _Pooled:
    """Statistics from average pools; what touches every pixel is a subtraction, a product, a sum.

    The statistics live on [1, C, 1, 1] and [1, G, 1, 1]; from one to the other go 1x1 convs whose
    matrices have one value a row, so that int8 holds them exactly.
    """

    def __init__(self, g: Graph, channels: int, groups: int, epsilon: float, forms: Forms) -> None:
        self._g, self._forms, self._epsilon = g, forms, epsilon
        self._channels, self._groups = channels, groups
        member: Array = np.kron(np.eye(groups), np.ones((1, channels // groups))).astype(np.float32)
        self._share: Array = member / np.float32(channels // groups)  # [G, C]: a group's mean of its channels
        self._spread: Array = np.ascontiguousarray(member.T)  # [C, G]: a group's value to each of its channels

    def __call__(self, x: Value, affine: Affine | None, shift: Value | None) -> Value:
        g, row = self._g, (1, self._channels, 1, 1)
        from_centred = 2 * math.prod(x.shape) <= self._forms.centred_below_mb * 1e6  # uint16
        if shift is not None and not (self._forms.time_in_norm and from_centred):
            x, shift = add(g, x, shift, "timed"), None
        pooled = self._pooled(x)
        if shift is not None:
            pooled = add(g, pooled, shift, "pooled_timed")
        mean = self._group_mean(pooled, "mean")
        channel_mean = self._to_channels(mean, "channel_mean")
        if shift is None:
            centred = g.node("Sub", [x, channel_mean], x.shape, "centred")
        else:
            centred = add(g, x, g.node("Sub", [shift, channel_mean], row, "to_centre"), "centred")
        variance = self._group_mean(self._pooled(mul(g, centred, centred, "squared")), "variance")
        raised = add(g, variance, g.constant("epsilon", np.full((1, 1, 1, 1), self._epsilon, np.float32)))
        deviation = g.node("Sqrt", [raised], raised.shape, "deviation")
        one = g.constant("one", np.ones((1, 1, 1, 1), np.float32))
        inverse = g.node("Div", [one, deviation], deviation.shape, "inverse")
        gamma = np.ones(self._channels, np.float32) if affine is None else affine.gamma
        scale = self._to_channels(inverse, "scale", gamma)
        if from_centred:
            normed = mul(g, centred, scale, "scaled")
            return normed if affine is None else add(g, normed, g.constant("beta", affine.beta.reshape(row)), "shifted")
        beta = None if affine is None else affine.beta
        offset = self._to_channels(mul(g, mean, inverse), "offset", -gamma, beta)
        return add(g, mul(g, x, scale, "scaled"), offset, "shifted")

    def _pooled(self, x: Value) -> Value:
        """Each channel's mean: [1, C, 1, 1]."""
        g = self._g
        _, channels, height, width = x.shape
        row = (1, channels, 1, 1)
        if height * width <= self._forms.pool_at_once_up_to:
            return g.node("GlobalAveragePool", [x], row)
        # Not pools one after the other: of those the compiler makes one.
        rows = g.node("ReduceMean", [x, g.constant("axis", np.array([3], np.int64))], (1, channels, height, 1))
        return g.node("ReduceMean", [rows, g.constant("axis", np.array([2], np.int64))], row)

    def _conv(self, x: Value, name: str, matrix: Array, bias: Array | None = None) -> Value:
        inputs = [x, self._g.constant(f"{name}.weight", matrix[:, :, None, None])]
        if bias is not None:
            inputs.append(self._g.constant(f"{name}.bias", bias))
        return self._g.node("Conv", inputs, (1, matrix.shape[0], 1, 1), name, kernel_shape=[1, 1])

    def _group_mean(self, pooled: Value, name: str) -> Value:
        """[1, C, 1, 1] to the mean of each group: [1, G, 1, 1], or [1, C, 1, 1] in the matrix form."""
        if self._forms.group_mean == "two_step":
            return self._conv(pooled, name, self._share)
        return self._conv(pooled, name, self._spread @ self._share)

    def _to_channels(self, of: Value, name: str, factor: Array | None = None, bias: Array | None = None) -> Value:
        """Each group's value at its channels, times a factor a channel, plus a bias a channel."""
        g, row = self._g, (1, self._channels, 1, 1)
        if self._forms.group_mean == "two_step":
            return self._conv(of, name, self._spread if factor is None else self._spread * factor[:, None], bias)
        if factor is not None:
            of = mul(g, of, g.constant(f"{name}.factor", factor.reshape(row)), name)
        return of if bias is None else add(g, of, g.constant(f"{name}.bias", bias.reshape(row)), f"{name}.biased")
