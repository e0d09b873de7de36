"""Linear layers: weights that are changed in exact ways before they are written, on tokens or on images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qnn_sd.export.blocks.basic import add
from qnn_sd.export.checkpoint import Array, TensorSource
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

    def after(self, affine: Affine) -> Weights:
        """What reads a norm without its affine: W(gamma x + beta) + b = (W gamma) x + (W beta + b).

        Exact, and it saves two passes over the tensor.
        """
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


def linear(g: Graph, name: str, x: Value, weights: Weights) -> Value:
    """A linear layer on tokens [1, N, K]: [1, N, out]."""
    matrix = g.constant(f"{name}.weight", np.ascontiguousarray(weights.weight.T))
    out = g.node("MatMul", [x, matrix], (*x.shape[:-1], weights.weight.shape[0]), name)
    return out if weights.bias is None else add(g, out, g.constant(f"{name}.bias", weights.bias), f"{name}.biased")


def pointwise(g: Graph, name: str, x: Value, weights: Weights) -> Value:
    """A linear layer on the channels of an image [1, K, H, W], as a 1x1 convolution: [1, out, H, W]."""
    inputs = [x, g.constant(f"{name}.weight", weights.weight[:, :, None, None])]
    if weights.bias is not None:
        inputs.append(g.constant(f"{name}.bias", weights.bias))
    return g.node("Conv", inputs, (1, weights.weight.shape[0], *x.shape[2:]), name, kernel_shape=[1, 1])
