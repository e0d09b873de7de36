"""ResNet block of the UNet and the VAE, and what changes the resolution between levels."""

from __future__ import annotations

import math

import numpy as np

from qnn_sd.export.blocks.basic import add, conv, conv_of, linear_row, reshape, upsample_nearest
from qnn_sd.export.blocks.norm import affine_of, group_norm
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.forms import Forms
from qnn_sd.export.graph import Graph, Value


def resnet(
    g: Graph,
    weights: TensorSource,
    prefix: str,
    x: Value,
    out_channels: int,
    *,
    groups: int,
    epsilon: float,
    act: str,
    forms: Forms,
    time: Value | None = None,
) -> Value:
    """norm, act, conv, (+ time), norm, act, conv, + shortcut.

    Args:
        x: [1, C, H, W].
        time: the activated time embedding [1, T], or None in the VAE.
    """

    def norm(name: str, of: Value, shift: Value | None = None) -> Value:
        affine = affine_of(weights, f"{prefix}.{name}", of.shape[1])
        return group_norm(g, f"{prefix}.{name}", of, affine, groups, epsilon, forms, act, shift)

    hidden = conv(g, weights, f"{prefix}.conv1", norm("norm1", x), out_channels)
    shift = None
    if time is not None:
        row = linear_row(g, weights, f"{prefix}.time_emb_proj", time, out_channels)
        with g.scope(prefix):
            shift = reshape(g, row, (1, out_channels, 1, 1))
    hidden = norm("norm2", hidden, shift)
    hidden = conv(g, weights, f"{prefix}.conv2", hidden, out_channels)
    if x.shape[1] != out_channels:
        x = conv(g, weights, f"{prefix}.conv_shortcut", x, out_channels, kernel=1)
    return add(g, x, hidden, f"{prefix}.out")


# Row a: which rows of a 3x3 kernel fall on the low-resolution rows -1, 0, 1 for output rows 2i + a.
_PHASES = np.array([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]], np.float32)


def upsample(g: Graph, weights: TensorSource, prefix: str, x: Value, forms: Forms) -> Value:
    """Nearest neighbour, then a conv; or both as one conv at the lower resolution.

    In the sub-pixel form (after Shi et al. 2016) each of an output pixel's four phases has a kernel of
    its own, in which the taps that fall on the same input pixel are added up.
    """
    _, channels, height, width = x.shape
    if 4 * math.prod(x.shape) * 2 <= forms.subpixel_above_mb * 1e6:  # uint16
        with g.scope(prefix):
            larger = upsample_nearest(g, x)
        return conv(g, weights, f"{prefix}.conv", larger, channels)
    kernel = weights.get(f"{prefix}.conv.weight", (channels, channels, 3, 3))
    bias = weights.get(f"{prefix}.conv.bias", (channels,))
    phases = np.einsum("aik,ockl,bjl->abocij", _PHASES, kernel, _PHASES, optimize=True)
    pixels = conv_of(g, f"{prefix}.conv", x, phases.reshape(4 * channels, channels, 3, 3), np.tile(bias, 4))
    with g.scope(prefix):
        return g.node("DepthToSpace", [pixels], (1, channels, 2 * height, 2 * width), blocksize=2, mode="DCR")


def downsample(g: Graph, weights: TensorSource, prefix: str, x: Value, padding: int) -> Value:
    """Conv with stride 2; ``padding`` 0 is the VAE's way, padded at the bottom and right alone."""
    pads = (padding,) * 4 if padding else (0, 0, 1, 1)
    return conv(g, weights, f"{prefix}.conv", x, x.shape[1], stride=2, pads=pads)
