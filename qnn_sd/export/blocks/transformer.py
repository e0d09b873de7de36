"""The UNet's spatial transformer: self-attention, cross-attention, GEGLU feed-forward."""

from __future__ import annotations

from qnn_sd.export.blocks.attention import attention
from qnn_sd.export.blocks.basic import add, image_of, linear_tokens, mul, tokens_of
from qnn_sd.export.blocks.norm import group_norm, layer_norm
from qnn_sd.export.checkpoint import Array, TensorSource
from qnn_sd.export.forms import Forms
from qnn_sd.export.graph import Graph, Value

# diffusers' Transformer2DModel and BasicTransformerBlock have these fixed.
GROUP_NORM_EPSILON = 1e-6
LAYER_NORM_EPSILON = 1e-5


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
    forms: Forms,
) -> Value:
    """Transformer over the pixels of [1, C, H, W], with cross-attention to [1, M, D].

    proj_in and proj_out are 1x1 convs in some checkpoints and linear layers in others; on tokens
    the two are the same product, and both are written that way.
    """
    _, channels, height, width = x.shape
    shape = (channels, channels) if linear_projection else (channels, channels, 1, 1)

    def projection(name: str, of: Value) -> Value:
        full = f"{prefix}.{name}"
        weight = weights.get(f"{full}.weight", shape).reshape(channels, channels)
        return linear_tokens(g, full, of, weight, weights.get(f"{full}.bias", (channels,)))

    normed = group_norm(g, weights, f"{prefix}.norm", x, groups, GROUP_NORM_EPSILON, forms)
    with g.scope(prefix):
        tokens = tokens_of(g, normed)
    tokens = projection("proj_in", tokens)
    for layer in range(layers):
        tokens = _block(g, weights, f"{prefix}.transformer_blocks.{layer}", tokens, context, heads, forms)
    tokens = projection("proj_out", tokens)
    with g.scope(prefix):
        return add(g, image_of(g, tokens, height, width), x, "out")


def _block(g: Graph, weights: TensorSource, prefix: str, x: Value, context: Value, heads: int, forms: Forms) -> Value:
    normed = layer_norm(g, weights, f"{prefix}.norm1", x, LAYER_NORM_EPSILON, forms)
    x = add(g, attention(g, weights, f"{prefix}.attn1", normed, normed, heads), x, f"{prefix}.attn1.sum")
    normed = layer_norm(g, weights, f"{prefix}.norm2", x, LAYER_NORM_EPSILON, forms)
    x = add(g, attention(g, weights, f"{prefix}.attn2", normed, context, heads), x, f"{prefix}.attn2.sum")
    normed = layer_norm(g, weights, f"{prefix}.norm3", x, LAYER_NORM_EPSILON, forms)
    return add(g, geglu_feed_forward(g, weights, f"{prefix}.ff", normed), x, f"{prefix}.ff.sum")


def geglu_feed_forward(g: Graph, weights: TensorSource, prefix: str, x: Value) -> Value:
    """GEGLU (Shazeer 2020) with inner width 4C; value and gate as two products instead of a split."""
    width = x.shape[-1]
    inner = 4 * width
    weight = weights.get(f"{prefix}.net.0.proj.weight", (2 * inner, width))
    bias = weights.get(f"{prefix}.net.0.proj.bias", (2 * inner,))

    def half(name: str, rows: slice) -> Value:
        part: Array = weight[rows]
        return linear_tokens(g, f"{prefix}.{name}", x, part, bias[rows])

    value = half("value", slice(0, inner))
    gate = half("gate", slice(inner, 2 * inner))
    with g.scope(prefix):
        gated = mul(g, value, g.node("Gelu", [gate], gate.shape), "gated")
    return linear_tokens(
        g,
        f"{prefix}.net.2",
        gated,
        weights.get(f"{prefix}.net.2.weight", (width, inner)),
        weights.get(f"{prefix}.net.2.bias", (width,)),
    )
