"""The UNet's spatial transformer: self-attention, cross-attention, GEGLU feed-forward."""

from __future__ import annotations

from qnn_sd.export.blocks.attention import AttentionWeights, cross_attention, self_attention
from qnn_sd.export.blocks.basic import add, mul
from qnn_sd.export.blocks.linear import Affine, Weights, pointwise
from qnn_sd.export.blocks.norm import affine_of, channel_norm, group_norm
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.graph import Graph, Value

# diffusers' Transformer2DModel and BasicTransformerBlock have these fixed.
GROUP_NORM_EPSILON = 1e-6
LAYER_NORM_EPSILON = 1e-5
_WIDENING = 4  # of the feed-forward


def spatial_transformer(
    g: Graph,
    weights: TensorSource,
    prefix: str,
    x: Value,
    context: Value,
    *,
    heads: int,
    layers: int,
    groups: int,
    linear_projection: bool,
) -> Value:
    """Transformer over the pixels of [1, C, H, W], with cross-attention to [1, M, D].

    All but the heads themselves works on the image. proj_in and proj_out are 1x1 convs in some checkpoints and linear
    layers in others; on an image the two are the same.
    """
    channels = x.shape[1]
    shape = (channels, channels) if linear_projection else (channels, channels, 1, 1)

    def projection(name: str) -> Weights:
        weight = weights.get(f"{prefix}.{name}.weight", shape).reshape(channels, channels)
        return Weights(weight, weights.get(f"{prefix}.{name}.bias", (channels,)))

    affine = affine_of(weights, f"{prefix}.norm", channels)
    normed = group_norm(g, f"{prefix}.norm", x, None, groups, GROUP_NORM_EPSILON)
    hidden = pointwise(g, f"{prefix}.proj_in", normed, projection("proj_in").after(affine))
    for layer in range(layers):
        hidden = _block(g, weights, f"{prefix}.transformer_blocks.{layer}", hidden, context, heads)
    return add(g, pointwise(g, f"{prefix}.proj_out", hidden, projection("proj_out")), x, f"{prefix}.out")


def _block(g: Graph, weights: TensorSource, prefix: str, x: Value, context: Value, heads: int) -> Value:
    channels = x.shape[1]

    def normed(name: str) -> tuple[Value, Affine]:
        full = f"{prefix}.{name}"
        return channel_norm(g, full, x, LAYER_NORM_EPSILON), affine_of(weights, full, channels)

    name = f"{prefix}.attn1"
    image, affine = normed("norm1")
    layer = AttentionWeights.read(weights, name, channels, channels, heads, query_affine=affine, context_affine=affine)
    x = add(g, self_attention(g, name, layer, heads, image), x, f"{name}.sum")

    name = f"{prefix}.attn2"
    image, affine = normed("norm2")
    layer = AttentionWeights.read(weights, name, channels, context.shape[-1], heads, query_affine=affine)
    x = add(g, cross_attention(g, name, layer, heads, image, context), x, f"{name}.sum")

    image, affine = normed("norm3")
    return add(g, _feed_forward(g, weights, f"{prefix}.ff", image, affine), x, f"{prefix}.ff.sum")


def _feed_forward(g: Graph, weights: TensorSource, prefix: str, x: Value, affine: Affine) -> Value:
    """GEGLU (Shazeer 2020) with inner width 4C; value and gate as two products instead of a split."""
    channels = x.shape[1]
    inner = _WIDENING * channels
    both = Weights.read(weights, f"{prefix}.net.0.proj", 2 * inner, channels).after(affine)
    value = pointwise(g, f"{prefix}.value", x, both.rows(slice(0, inner)))
    gate = pointwise(g, f"{prefix}.gate", x, both.rows(slice(inner, 2 * inner)))
    with g.scope(prefix):
        gated = mul(g, value, g.node("Gelu", [gate], gate.shape), "gated")
    return pointwise(g, f"{prefix}.net.2", gated, Weights.read(weights, f"{prefix}.net.2", channels, inner))
