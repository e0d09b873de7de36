"""Linear layers on tokens: read once, changed in exact ways, applied as often as needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qnn_sd.export.blocks.basic import add, reshape, transpose
from qnn_sd.export.checkpoint import Array, TensorSource
from qnn_sd.export.forms import Forms
from qnn_sd.export.graph import Graph, Value


@dataclass(frozen=True)
class Affine:
    """A norm's gamma and beta, [C] each."""

    gamma: Array
    beta: Array


@dataclass(frozen=True)
class Weights:
    """A linear layer's weight [out, K], as torch stores it, and bias [out] or None."""

    weight: Array
    bias: Array | None = None

    @classmethod
    def read(cls, weights: TensorSource, prefix: str, out: int, width: int, bias: bool = True) -> Weights:
        """From a checkpoint: ``prefix.weight`` and ``prefix.bias``."""
        weight = weights.get(f"{prefix}.weight", (out, width))
        return cls(weight, weights.get(f"{prefix}.bias", (out,)) if bias else None)

    def after(self, affine: Affine | None) -> Weights:
        """What reads the norm without its affine: W(gamma x + beta) + b = (W gamma) x + (W beta + b)."""
        if affine is None:
            return self
        return Weights(self.weight * affine.gamma, self.bias).plus(self.weight @ affine.beta)

    def plus(self, bias: Array) -> Weights:
        """With more bias."""
        return Weights(self.weight, bias if self.bias is None else self.bias + bias)

    def rows(self, rows: slice) -> Weights:
        """Some of its outputs."""
        return Weights(self.weight[rows], None if self.bias is None else self.bias[rows])

    def scaled(self, factor: float) -> Weights:
        """Its outputs times a factor."""
        return Weights(self.weight * np.float32(factor), None if self.bias is None else self.bias * np.float32(factor))


class Linear:
    """A linear layer in a graph; its constants stand there once, however many pieces go through it.

    Args:
        g: the graph.
        name: of the layer.
        weights: its weight and bias.
        forms: ``linear`` says which op.
    """

    def __init__(self, g: Graph, name: str, weights: Weights, forms: Forms) -> None:
        self._g, self._name, self._conv = g, name, forms.linear == "conv"
        self._out = weights.weight.shape[0]
        matrix = weights.weight[:, :, None, None] if self._conv else np.ascontiguousarray(weights.weight.T)
        self._weight = g.constant(f"{name}.weight", matrix)
        self._bias = None if weights.bias is None else g.constant(f"{name}.bias", weights.bias)

    def __call__(self, x: Value) -> Value:
        """Applies it to tokens [1, N, K]: [1, N, out]."""
        g, shape = self._g, (*x.shape[:-1], self._out)
        if self._conv:
            return self._as_conv(x, shape)
        out = g.node("MatMul", [x, self._weight], shape, self._name)
        return out if self._bias is None else add(g, out, self._bias, f"{self._name}.biased")

    def _as_conv(self, x: Value, shape: tuple[int, ...]) -> Value:
        """On [1, K, 1, N]: channels are the HTP's innermost axis, so both transposes cost nothing there."""
        g, (_, tokens, width) = self._g, x.shape
        with g.scope(self._name):
            image = transpose(g, reshape(g, x, (1, 1, tokens, width)), (0, 3, 1, 2))
        inputs = [image, self._weight, *([] if self._bias is None else [self._bias])]
        out = g.node("Conv", inputs, (1, self._out, 1, tokens), self._name, kernel_shape=[1, 1])
        with g.scope(self._name):
            return reshape(g, transpose(g, out, (0, 2, 3, 1)), shape)
