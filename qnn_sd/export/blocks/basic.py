"""Single ops with their shapes: convolution, linear layers, elementwise, layout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qnn_sd.export.checkpoint import Array, TensorSource
from qnn_sd.export.graph import Graph, Value


def conv(
    g: Graph,
    weights: TensorSource,
    prefix: str,
    x: Value,
    out_channels: int,
    kernel: int = 3,
    stride: int = 1,
    pads: tuple[int, int, int, int] | None = None,
) -> Value:
    """Convolution with bias on [1, C, H, W]; ``pads`` are top, left, bottom, right."""
    weight = weights.get(f"{prefix}.weight", (out_channels, x.shape[1], kernel, kernel))
    return conv_of(g, prefix, x, weight, weights.get(f"{prefix}.bias", (out_channels,)), stride, pads)


def conv_of(
    g: Graph,
    name: str,
    x: Value,
    weight: Array,
    bias: Array,
    stride: int = 1,
    pads: tuple[int, int, int, int] | None = None,
) -> Value:
    """Convolution with weight [out, C, k, k] and bias [out]; without ``pads`` the size stays (at stride 1)."""
    _, _, height, width = x.shape
    out_channels, _, kernel, _ = weight.shape
    pads = pads or (kernel // 2,) * 4
    constants = [g.constant(f"{name}.weight", weight), g.constant(f"{name}.bias", bias)]
    out_height = (height + pads[0] + pads[2] - kernel) // stride + 1
    out_width = (width + pads[1] + pads[3] - kernel) // stride + 1
    return g.node(
        "Conv",
        [x, *constants],
        (1, out_channels, out_height, out_width),
        name,
        kernel_shape=[kernel, kernel],
        strides=[stride, stride],
        pads=list(pads),
    )


def linear_row(g: Graph, weights: TensorSource, prefix: str, x: Value, out_features: int, bias: bool = True) -> Value:
    """Linear layer on one row [1, K] as Gemm."""
    weight = g.constant(f"{prefix}.weight", weights.get(f"{prefix}.weight", (out_features, x.shape[1])))
    inputs = [x, weight]
    if bias:
        inputs.append(g.constant(f"{prefix}.bias", weights.get(f"{prefix}.bias", (out_features,))))
    return g.node("Gemm", inputs, (1, out_features), prefix, transB=1)


def add(g: Graph, a: Value, b: Value, name: str = "") -> Value:
    """Sum, broadcast as numpy does."""
    return g.node("Add", [a, b], np.broadcast_shapes(a.shape, b.shape), name)


def mul(g: Graph, a: Value, b: Value, name: str = "") -> Value:
    """Product, broadcast as numpy does."""
    return g.node("Mul", [a, b], np.broadcast_shapes(a.shape, b.shape), name)


def matmul(g: Graph, a: Value, b: Value, name: str = "") -> Value:
    """Product of two activations, [..., M, K] by [..., K, N]."""
    return g.node("MatMul", [a, b], (*a.shape[:-1], b.shape[-1]), name)


def reshape(g: Graph, x: Value, shape: Sequence[int]) -> Value:
    """Reshape to a static shape."""
    if tuple(shape) == x.shape:
        return x
    target = g.constant("shape", np.array(shape, np.int64))
    return g.node("Reshape", [x, target], shape)


def transpose(g: Graph, x: Value, order: Sequence[int]) -> Value:
    """Permuted axes."""
    return g.node("Transpose", [x], [x.shape[axis] for axis in order], perm=list(order))


def concat(g: Graph, values: Sequence[Value], axis: int) -> Value:
    """Concatenation along an axis; one value is returned as it is."""
    if len(values) == 1:
        return values[0]
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    return g.node("Concat", list(values), shape, axis=axis)


def channels_last(g: Graph, x: Value) -> Value:
    """[1, C, H, W] as [1, H, W, C]."""
    return transpose(g, x, (0, 2, 3, 1))


def channels_first(g: Graph, x: Value) -> Value:
    """[1, H, W, C] as [1, C, H, W]."""
    return transpose(g, x, (0, 3, 1, 2))
