"""Multi-head attention, head by head.

One head at a time keeps the scores small enough for the HTP's on-chip memory, and gives each head encodings of its own.
An image's pixels stay an image: queries are [1, H, W, C / heads], scores [1, H, W, M]. That is faster on the HTP than
pixels in one row, and nothing is laid out anew (docs/htp-forms.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qnn_sd.export.blocks.basic import add, channels_first, channels_last, concat, matmul, reshape, transpose
from qnn_sd.export.blocks.linear import Affine, Weights, linear, pointwise
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.graph import Graph, Value

# With more keys than this, attention weighs the values' differences from their mean and adds the mean afterwards, which
# is exact, since the shares sum to one. On the HTP they don't: it rounds shares down, half a step on average, and with
# thousands of keys the halves come to percents. Of values whose sum is zero they take nothing.
CENTRED_ABOVE = 128


@dataclass(frozen=True)
class AttentionNames:
    """Where a checkpoint keeps an attention layer's weights, below the layer's prefix."""

    query: str = "to_q"
    key: str = "to_k"
    value: str = "to_v"
    out: str = "to_out.0"


@dataclass(frozen=True)
class AttentionWeights:
    """An attention layer's weights: C channels, D of what it attends to.

    Attributes:
        query: [C, C], with the scores' scale.
        key: [C, D].
        value: [C, D].
        out: [C, C].
    """

    query: Weights
    key: Weights
    value: Weights
    out: Weights

    @classmethod
    def read(
        cls,
        weights: TensorSource,
        prefix: str,
        width: int,
        context_width: int,
        heads: int,
        *,
        names: AttentionNames | None = None,
        biases: bool = False,
        query_affine: Affine | None = None,
        context_affine: Affine | None = None,
    ) -> AttentionWeights:
        """From a checkpoint.

        The scale goes into q: one op and one rounding fewer. The key's bias is left out (it shifts all scores of a
        query alike, which softmax ignores), the value's goes into the output's (the shares sum to one).

        Args:
            weights: the checkpoint's tensors.
            prefix: of the layer.
            width: C.
            context_width: D; equal to C in self-attention.
            heads: number of heads; C is a multiple of it.
            names: the weights' names.
            biases: whether q, k and v have biases.
            query_affine: gamma and beta of the norm before the queries.
            context_affine: the same before keys and values.
        """
        names = names or AttentionNames()

        def read(name: str, of: int, affine: Affine | None) -> Weights:
            found = Weights.read(weights, f"{prefix}.{name}", width, of, biases)
            return found if affine is None else found.after(affine)

        value = read(names.value, context_width, context_affine)
        out = Weights.read(weights, f"{prefix}.{names.out}", width, width)
        return cls(
            read(names.query, width, query_affine).scaled((width // heads) ** -0.5),
            Weights(read(names.key, context_width, context_affine).weight),
            Weights(value.weight),
            out if value.bias is None else out.plus(out.weight @ value.bias),
        )

    def heads(self, number: int) -> Iterator[AttentionWeights]:
        """Each head's part; the output's projection is whole in all of them."""
        size = self.query.weight.shape[0] // number
        for start in range(0, size * number, size):
            rows = slice(start, start + size)
            yield AttentionWeights(self.query.rows(rows), self.key.rows(rows), self.value.rows(rows), self.out)


def token_attention(
    g: Graph, prefix: str, weights: AttentionWeights, heads: int, x: Value, mask: Value | None = None
) -> Value:
    """Self-attention of tokens (Vaswani et al. 2017), as the text encoder has it: [1, N, C], not yet projected.

    Args:
        g: the graph.
        prefix: of the layer.
        weights: the layer's.
        heads: number of heads.
        x: the tokens [1, N, C].
        mask: [1, N, N], added to the scores, or None.
    """
    seen = []
    for head, part in enumerate(weights.heads(heads)):
        with g.scope(f"{prefix}.head{head}"):
            q, k, v = linear(g, "q", x, part.query), linear(g, "k", x, part.key), linear(g, "v", x, part.value)
            seen.append(_head(g, q, k, v, mask))
    with g.scope(prefix):
        return concat(g, seen, 2)


def self_attention(g: Graph, prefix: str, weights: AttentionWeights, heads: int, x: Value) -> Value:
    """Attention of an image's pixels [1, C, H, W] over one another, projected: [1, C, H, W].

    Keys and values come from what the pixels have beyond their mean. Keys may: a constant shift of the keys changes
    no softmax. What the values lack is the same for every pixel and is added after the projection.
    """
    _, channels, height, width = x.shape
    pixels, size = height * width, channels // heads
    centred, mean = x, None
    if pixels > CENTRED_ABOVE:
        with g.scope(prefix):
            mean = g.node("GlobalAveragePool", [x], (1, channels, 1, 1), "mean")
            centred = g.node("Sub", [x, mean], x.shape, "centred")
    seen = []
    for head, part in enumerate(weights.heads(heads)):
        with g.scope(f"{prefix}.head{head}"):
            k, v = (
                reshape(g, channels_last(g, pointwise(g, name, centred, of)), (1, 1, pixels, size))
                for name, of in (("k", part.key), ("v", part.value))
            )
            seen.append(_head(g, channels_last(g, pointwise(g, "q", x, part.query)), k, v))
    projected = _projected(g, prefix, weights, seen)
    if mean is None:
        return projected
    with g.scope(prefix):
        shift = pointwise(g, "mean_out", mean, Weights(weights.out.weight @ weights.value.weight))
        return add(g, projected, shift, "with_mean")


def cross_attention(g: Graph, prefix: str, weights: AttentionWeights, heads: int, x: Value, context: Value) -> Value:
    """Attention of an image's pixels [1, C, H, W] over tokens [1, M, D], projected: [1, C, H, W]."""
    with g.scope(prefix):
        context = reshape(g, context, (1, *context.shape))
    seen = []
    for head, part in enumerate(weights.heads(heads)):
        with g.scope(f"{prefix}.head{head}"):
            k, v = linear(g, "k", context, part.key), linear(g, "v", context, part.value)
            seen.append(_head(g, channels_last(g, pointwise(g, "q", x, part.query)), k, v))
    return _projected(g, prefix, weights, seen)


def _head(g: Graph, q: Value, k: Value, v: Value, mask: Value | None = None) -> Value:
    """One head: queries [..., N, d] over keys and values [..., M, d].

    The quantizer makes the second operand of each product (K transposed, V) signed and symmetric: the HTP drops
    a uint16 one to 8 bits.
    """
    last = len(k.shape) - 1
    scores = matmul(g, q, transpose(g, k, (*range(last - 1), last, last - 1)), "scores")
    if mask is not None:
        scores = add(g, scores, mask, "masked")
    return matmul(g, g.node("Softmax", [scores], scores.shape, axis=-1), v, "out")


def _projected(g: Graph, prefix: str, weights: AttentionWeights, seen: Sequence[Value]) -> Value:
    """What the heads see, [1, H, W, C / heads] each, side by side as an image, through the output's projection."""
    with g.scope(prefix):
        return pointwise(g, "to_out", channels_first(g, concat(g, seen, 3)), weights.out)
