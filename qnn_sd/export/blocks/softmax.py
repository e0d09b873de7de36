"""Softmax and the product after it, in the form that the HTP computes faithfully."""

from __future__ import annotations

import numpy as np

from qnn_sd.export.blocks.basic import matmul
from qnn_sd.export.forms import Forms
from qnn_sd.export.graph import Graph, Value


def softmax_product(g: Graph, scores: Value, values: Value, forms: Forms) -> Value:
    """``softmax(scores) @ values`` over the last axis of scores [..., N, M], values [..., M, D].

    Args:
        g: the graph.
        scores: attention scores, any mask already added.
        values: what the shares weigh.
        forms: ``total_above``.
    """
    keys = scores.shape[-1]
    shares = g.node("Softmax", [scores], scores.shape, axis=-1)
    if keys <= forms.total_above:
        return matmul(g, shares, values, "out")
    weighted = matmul(g, shares, values, "weighted")
    # A product with constant ones, which int8 holds exactly: a ReduceSum keeps the compiler from working on
    # a few rows at a time, and 4096 x 4096 shares then go through memory again and again.
    total = matmul(g, shares, g.constant("ones", np.ones((keys, 1), np.float32)), "total")
    return g.node("Div", [weighted, total], weighted.shape, "out")
