"""Multi-head attention, head by head.

One head at a time keeps the scores [1, N, M] small enough for the HTP's on-chip memory, and
gives each head encodings of its own. The quantizer makes the second operand of each product
(K transposed, V) int16 symmetric: the HTP drops a uint16 one to 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qnn_sd.export.blocks.basic import add, concat, matmul, reshape, transpose
from qnn_sd.export.blocks.linear import Affine, Linear, Weights
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.forms import Forms
from qnn_sd.export.graph import Graph, Value


@dataclass(frozen=True)
class AttentionNames:
    """Where a checkpoint keeps an attention layer's weights, below the layer's prefix."""

    query: str = "to_q"
    key: str = "to_k"
    value: str = "to_v"
    out: str = "to_out.0"


@dataclass(frozen=True)
class KeyValue:
    """One product's second operands: keys transposed [1, D, M] and values [1, M, D], or with heads in front.

    Attributes:
        key: the keys.
        value: the values; their mean is zero where ``mean`` is given.
        mean: [1, 1, D], what was taken from the values and is added to the result.
    """

    key: Value
    value: Value
    mean: Value | None


class Attention:
    """Scaled dot-product attention (Vaswani et al. 2017) of tokens [1, N, C] over [1, M, D].

    Keys and values, queries, and the output's projection are steps of their own, so that queries
    can come in pieces.

    Args:
        g: the graph.
        weights: the checkpoint's tensors.
        prefix: of the layer.
        width: C.
        context_width: D; equal to C in self-attention.
        heads: number of heads; C is a multiple of it.
        forms: ``heads``, ``centred_values_above``, ``linear`` and ``fold_biases``.
        projection_bias: whether q, k and v have biases.
        names: the weights' names.
        query_affine: gamma and beta of the norm before the queries, where they are folded.
        context_affine: the same before keys and values.
    """

    def __init__(
        self,
        g: Graph,
        weights: TensorSource,
        prefix: str,
        width: int,
        context_width: int,
        heads: int,
        forms: Forms,
        *,
        projection_bias: bool = False,
        names: AttentionNames | None = None,
        query_affine: Affine | None = None,
        context_affine: Affine | None = None,
    ) -> None:
        names = names or AttentionNames()
        self._g, self._prefix, self._width, self._forms = g, prefix, width, forms
        self._size = width // heads

        def read(name: str, of: int, affine: Affine | None) -> Weights:
            return Weights.read(weights, f"{prefix}.{name}", width, of, projection_bias).after(affine)

        # The scale is folded into q: one op and one rounding fewer.
        query = read(names.query, width, query_affine).scaled(self._size**-0.5)
        key = read(names.key, context_width, context_affine)
        value = read(names.value, context_width, context_affine)
        out = Weights.read(weights, f"{prefix}.{names.out}", width, width)
        if forms.fold_biases:
            key = Weights(key.weight)
            if value.bias is not None:
                out = out.plus(out.weight @ value.bias)
                value = Weights(value.weight)
        self._together = forms.heads == "together"
        parts = 1 if self._together else heads
        step = width // parts
        self._heads = heads
        self._scopes = [prefix] if self._together else [f"{prefix}.head{head}" for head in range(heads)]
        self._projections = []
        for part, scope in enumerate(self._scopes):
            rows = slice(part * step, (part + 1) * step)
            with g.scope(scope):
                self._projections.append(
                    tuple(Linear(g, n, w.rows(rows), forms) for n, w in (("q", query), ("k", key), ("v", value)))
                )
        self._out = Linear(g, f"{prefix}.{names.out}", out, forms)

    def keys_and_values(self, context: Value) -> list[KeyValue]:
        """Of [1, M, D], one for each product."""
        results = []
        for scope, (_, key, value) in zip(self._scopes, self._projections, strict=True):
            with self._g.scope(scope):
                k, v = key(context), value(context)
                if self._together:
                    k, v = self._split(k), self._split(v)
                order = (0, 1, 3, 2) if self._together else (0, 2, 1)
                v, mean = self._centred(v) if context.shape[1] > self._forms.centred_values_above else (v, None)
                results.append(KeyValue(transpose(self._g, k, order), v, mean))
        return results

    def _centred(self, values: Value) -> tuple[Value, Value]:
        """Values [..., M, D] less their mean over the tokens, and that mean."""
        shape = (*values.shape[:-2], 1, values.shape[-1])
        axis = self._g.constant("v.axis", np.array([len(shape) - 2]))
        mean = self._g.node("ReduceMean", [values, axis], shape, "v.mean", keepdims=1)
        return self._g.node("Sub", [values, mean], values.shape, "v.centred"), mean

    def heads(self, x: Value, over: list[KeyValue], mask: Value | None = None) -> Value:
        """What the heads see from tokens [1, N, C], side by side: [1, N, C], not yet projected.

        Args:
            x: the tokens.
            over: keys and values.
            mask: [1, N, M], added to the scores.
        """
        g, results = self._g, []
        for scope, (query, _, _), kv in zip(self._scopes, self._projections, over, strict=True):
            with g.scope(scope):
                q = self._split(query(x)) if self._together else query(x)
                scores = matmul(g, q, kv.key, "scores")
                if mask is not None:
                    scores = add(g, scores, mask, "masked")
                shares = g.node("Softmax", [scores], scores.shape, axis=-1)
                if kv.mean is None:
                    results.append(matmul(g, shares, kv.value, "out"))
                else:
                    results.append(add(g, matmul(g, shares, kv.value, "out.centred"), kv.mean, "out"))
        with g.scope(self._prefix):
            if self._together:
                return reshape(g, transpose(g, results[0], (0, 2, 1, 3)), (1, x.shape[1], self._width))
            return concat(g, results, 2)

    def project(self, heads: Value) -> Value:
        """The output's projection of [1, N, C]."""
        return self._out(heads)

    def _split(self, x: Value) -> Value:
        """[1, N, C] as [1, heads, N, C / heads]."""
        split = reshape(self._g, x, (1, x.shape[1], self._heads, self._size))
        return transpose(self._g, split, (0, 2, 1, 3))
