"""Tokens in pieces: what works token by token can run on few at a time, so that nothing leaves the chip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qnn_sd.export.blocks.basic import concat
from qnn_sd.export.forms import Forms
from qnn_sd.export.graph import Graph, Value

_ACTIVATION_BYTES = 2  # uint16


def piece_sizes(tokens: int, widest: int, forms: Forms) -> list[int]:
    """How many tokens each piece holds; one piece where the widest tensor fits on chip.

    Args:
        tokens: how many there are.
        widest: channels of the widest tensor on the way.
        forms: says what is too large, and the size of a piece.
    """
    if tokens * widest * _ACTIVATION_BYTES <= forms.piece_above_mb * 1e6:
        return [tokens]
    full, rest = divmod(tokens, forms.tokens_per_piece)
    return [forms.tokens_per_piece] * full + [rest] * (rest > 0)


def cut(g: Graph, tokens: Value, sizes: Sequence[int]) -> list[Value]:
    """Tokens [1, N, C] as pieces [1, n, C]."""
    if len(sizes) == 1:
        return [tokens]
    axis = g.constant("cut.axis", np.array([1]))
    ends = np.cumsum(sizes)
    return [
        g.node(
            "Slice",
            [tokens, g.constant("cut.start", np.array([end - size])), g.constant("cut.end", np.array([end])), axis],
            (1, size, tokens.shape[2]),
            "piece",
        )
        for size, end in zip(sizes, ends, strict=True)
    ]


def join(g: Graph, pieces: Sequence[Value]) -> Value:
    """Pieces [1, n, C] as tokens [1, N, C]."""
    return concat(g, pieces, 1)
