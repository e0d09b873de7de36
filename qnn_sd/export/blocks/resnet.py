"""ResNet block of the UNet and the VAE, and what changes the resolution between levels."""

from __future__ import annotations

import numpy as np

from qnn_sd.export.blocks.basic import add, concat, conv, conv_of, linear_row, reshape
from qnn_sd.export.blocks.norm import affine_of, group_norm
from qnn_sd.export.checkpoint import TensorSource
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
    time: Value | None = None,
) -> Value:
    """norm, act, conv, (+ time), norm, act, conv, + shortcut.

    Args:
        x: [1, C, H, W].
        time: the activated time embedding [1, T], or None in the VAE.
    """

    def norm(name: str, of: Value, shift: Value | None = None) -> Value:
        affine = affine_of(weights, f"{prefix}.{name}", of.shape[1])
        return group_norm(g, f"{prefix}.{name}", of, affine, groups, epsilon, act, shift)

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


# Row a: which rows of a 3x3 kernel fall on the low-resolution rows i - 1 + a and i + a for output row 2i + a.
_PHASES = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)


def upsample(g: Graph, weights: TensorSource, prefix: str, x: Value) -> Value:
    """Nearest neighbour, then a 3x3 conv: as four 2x2 convs at the lower resolution, one for each of a pixel's phases.

    The taps that fall on the same input pixel are added up (after the sub-pixel convolution of Shi et al. 2016): exact,
    2.25 times fewer multiply-accumulates, and no upsampled copy of the input.
    """
    _, channels, height, width = x.shape
    kernel = weights.get(f"{prefix}.conv.weight", (channels, channels, 3, 3))
    bias = weights.get(f"{prefix}.conv.bias", (channels,))
    phases = []
    for down in (0, 1):
        for right in (0, 1):
            taps = np.einsum("ik,ockl,jl->ocij", _PHASES[down], kernel, _PHASES[right], optimize=True)
            pads = (1 - down, 1 - right, down, right)
            phases.append(conv_of(g, f"{prefix}.conv.phase{down}{right}", x, taps, bias, pads=pads))
    with g.scope(prefix):
        shape = (1, channels, 2 * height, 2 * width)
        return g.node("DepthToSpace", [concat(g, phases, 1)], shape, blocksize=2, mode="DCR")


def downsample(g: Graph, weights: TensorSource, prefix: str, x: Value, padding: int) -> Value:
    """Conv with stride 2; ``padding`` 0 is the VAE's way, padded at the bottom and right alone."""
    pads = (padding,) * 4 if padding else (0, 0, 1, 1)
    return conv(g, weights, f"{prefix}.conv", x, x.shape[1], stride=2, pads=pads)
