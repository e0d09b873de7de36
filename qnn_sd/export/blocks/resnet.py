"""ResNet block of the UNet and the VAE, and what changes the resolution between levels."""

from __future__ import annotations

from qnn_sd.export.blocks.basic import add, conv, linear_row, reshape, upsample_nearest
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


def upsample(g: Graph, weights: TensorSource, prefix: str, x: Value) -> Value:
    """Nearest neighbour, then a conv."""
    with g.scope(prefix):
        larger = upsample_nearest(g, x)
    return conv(g, weights, f"{prefix}.conv", larger, x.shape[1])


def downsample(g: Graph, weights: TensorSource, prefix: str, x: Value, padding: int) -> Value:
    """Conv with stride 2; ``padding`` 0 is the VAE's way, padded at the bottom and right alone."""
    pads = (padding,) * 4 if padding else (0, 0, 1, 1)
    return conv(g, weights, f"{prefix}.conv", x, x.shape[1], stride=2, pads=pads)
