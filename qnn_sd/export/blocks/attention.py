"""Multi-head attention, head by head.

One head at a time keeps the scores [1, N, M] small enough for the HTP's on-chip memory, and
gives each head encodings of its own. The quantizer makes the second operand of each product
(K transposed, V) int16 symmetric: the HTP drops a uint16 one to 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from qnn_sd.export.blocks.basic import add, concat, linear_tokens, matmul, transpose
from qnn_sd.export.checkpoint import Array, TensorSource
from qnn_sd.export.graph import Graph, Value


@dataclass(frozen=True)
class AttentionNames:
    """Where a checkpoint keeps an attention layer's weights, below the layer's prefix."""

    query: str = "to_q"
    key: str = "to_k"
    value: str = "to_v"
    out: str = "to_out.0"


def attention(
    g: Graph,
    weights: TensorSource,
    prefix: str,
    x: Value,
    context: Value,
    heads: int,
    *,
    projection_bias: bool = False,
    names: AttentionNames | None = None,
    mask: Value | None = None,
) -> Value:
    """Scaled dot-product attention (Vaswani et al. 2017) of tokens [1, N, C] over [1, M, D].

    Args:
        heads: number of heads; C is a multiple of it.
        projection_bias: whether q, k and v have biases.
        names: the weights' names.
        mask: [1, N, M], added to the scores.
    """
    names = names or AttentionNames()
    inner = x.shape[-1]
    size = inner // heads

    def read(name: str, width: int) -> tuple[Array, Array | None]:
        weight = weights.get(f"{prefix}.{name}.weight", (inner, width))
        bias = weights.get(f"{prefix}.{name}.bias", (inner,)) if projection_bias else None
        return weight, bias

    query, query_bias = read(names.query, inner)
    key, key_bias = read(names.key, context.shape[-1])
    value, value_bias = read(names.value, context.shape[-1])
    scale = size**-0.5  # folded into q: one op and one rounding fewer
    results = []
    for head in range(heads):
        rows = slice(head * size, (head + 1) * size)

        def part(bias: Array | None, rows: slice = rows) -> Array | None:
            return None if bias is None else bias[rows]

        with g.scope(f"{prefix}.head{head}"):
            scaled_bias = part(query_bias)
            q = linear_tokens(g, "q", x, query[rows] * scale, None if scaled_bias is None else scaled_bias * scale)
            k = linear_tokens(g, "k", context, key[rows], part(key_bias))
            v = linear_tokens(g, "v", context, value[rows], part(value_bias))
            scores = matmul(g, q, transpose(g, k, (0, 2, 1)), "scores")
            if mask is not None:
                scores = add(g, scores, mask, "masked")
            shares = g.node("Softmax", [scores], scores.shape, axis=-1)
            results.append(matmul(g, shares, v, "out"))
    joined = concat(g, results, 2)
    out_name = f"{prefix}.{names.out}"
    return linear_tokens(
        g,
        out_name,
        joined,
        weights.get(f"{out_name}.weight", (inner, inner)),
        weights.get(f"{out_name}.bias", (inner,)),
    )
