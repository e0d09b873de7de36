"""The UNet's spatial transformer: self-attention, cross-attention, GEGLU feed-forward."""

from __future__ import annotations

from collections.abc import Callable

from qnn_sd.export.blocks.attention import Attention
from qnn_sd.export.blocks.basic import add, image_of, mul, tokens_of
from qnn_sd.export.blocks.linear import Affine, Linear, Weights
from qnn_sd.export.blocks.norm import affine_of, fold, group_norm, layer_norm
from qnn_sd.export.blocks.pieces import cut, join, piece_sizes
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.forms import Forms
from qnn_sd.export.graph import Graph, Value

# diffusers' Transformer2DModel and BasicTransformerBlock have these fixed.
GROUP_NORM_EPSILON = 1e-6
LAYER_NORM_EPSILON = 1e-5
_WIDENING = 4  # of the feed-forward

Pieces = list[Value]


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
    the two are the same product, and both are written that way. All but the self-attention works
    token by token and runs on pieces where the tensors are large.
    """
    _, channels, height, width = x.shape
    shape = (channels, channels) if linear_projection else (channels, channels, 1, 1)
    sizes = piece_sizes(height * width, _WIDENING * channels, forms)

    def projection(name: str, affine: Affine | None) -> Linear:
        full = f"{prefix}.{name}"
        weight = weights.get(f"{full}.weight", shape).reshape(channels, channels)
        bias = weights.get(f"{full}.bias", (channels,))
        return Linear(g, full, Weights(weight, bias).after(affine), forms)

    here, later = fold(affine_of(weights, f"{prefix}.norm", channels), forms)
    normed = group_norm(g, f"{prefix}.norm", x, here, groups, GROUP_NORM_EPSILON, forms)
    with g.scope(prefix):
        residual, tokens = cut(g, tokens_of(g, x), sizes), cut(g, tokens_of(g, normed), sizes)
    pieces = [*map(projection("proj_in", later), tokens)]
    for layer in range(layers):
        pieces = _block(g, weights, f"{prefix}.transformer_blocks.{layer}", pieces, context, heads, forms)
    projected = map(projection("proj_out", None), pieces)
    with g.scope(prefix):
        done = [add(g, piece, skip, "out") for piece, skip in zip(projected, residual, strict=True)]
        return image_of(g, join(g, done), height, width)


def _block(
    g: Graph, weights: TensorSource, prefix: str, pieces: Pieces, context: Value, heads: int, forms: Forms
) -> Pieces:
    channels = pieces[0].shape[-1]

    def norm(name: str) -> tuple[Callable[[Value], Value], Affine | None]:
        here, later = fold(affine_of(weights, f"{prefix}.{name}", channels), forms)
        return lambda x: layer_norm(g, f"{prefix}.{name}", x, here, LAYER_NORM_EPSILON, forms), later

    def plus(changes: Pieces, name: str) -> Pieces:
        return [add(g, change, x, f"{prefix}.{name}.sum") for change, x in zip(changes, pieces, strict=True)]

    norm1, later = norm("norm1")
    attention = Attention(
        g, weights, f"{prefix}.attn1", channels, channels, heads, forms, query_affine=later, context_affine=later
    )
    normed = [norm1(x) for x in pieces]
    with g.scope(prefix):
        tokens = join(g, normed)
    heads_seen = attention.heads(tokens, attention.keys_and_values(tokens))
    with g.scope(prefix):
        seen = cut(g, heads_seen, [x.shape[1] for x in pieces])
    pieces = plus([attention.project(x) for x in seen], "attn1")

    norm2, later = norm("norm2")
    attention = Attention(g, weights, f"{prefix}.attn2", channels, context.shape[-1], heads, forms, query_affine=later)
    over = attention.keys_and_values(context)
    pieces = plus([attention.project(attention.heads(norm2(x), over)) for x in pieces], "attn2")

    norm3, later = norm("norm3")
    feed_forward = GegluFeedForward(g, weights, f"{prefix}.ff", channels, later, forms)
    return plus([feed_forward(norm3(x)) for x in pieces], "ff")


class GegluFeedForward:
    """GEGLU (Shazeer 2020) with inner width 4C; value and gate as two products instead of a split.

    Args:
        g: the graph.
        weights: the checkpoint's tensors.
        prefix: of the layer.
        width: C.
        affine: gamma and beta of the norm before it, where they are folded.
        forms: ``linear``.
    """

    def __init__(
        self, g: Graph, weights: TensorSource, prefix: str, width: int, affine: Affine | None, forms: Forms
    ) -> None:
        self._g, self._prefix = g, prefix
        inner = _WIDENING * width
        both = Weights.read(weights, f"{prefix}.net.0.proj", 2 * inner, width).after(affine)
        self._value = Linear(g, f"{prefix}.value", both.rows(slice(0, inner)), forms)
        self._gate = Linear(g, f"{prefix}.gate", both.rows(slice(inner, 2 * inner)), forms)
        self._out = Linear(g, f"{prefix}.net.2", Weights.read(weights, f"{prefix}.net.2", width, inner), forms)

    def __call__(self, x: Value) -> Value:
        """Applies it to tokens [1, N, C]."""
        value, gate = self._value(x), self._gate(x)
        with self._g.scope(self._prefix):
            gated = mul(self._g, value, self._g.node("Gelu", [gate], gate.shape), "gated")
        return self._out(gated)
