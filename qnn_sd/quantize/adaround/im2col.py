"""im2col (Chellapilla et al. 2006): the columns of an activation that a layer multiplies its weights by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Im2col:
    """How a layer reads its input: which columns im2col makes of it.

    Attributes:
        kernel: height and width of a convolution's kernel; None for a matrix product.
        strides: of the convolution.
        pads: top, left, bottom, right.
        dilations: of the kernel.
    """

    kernel: tuple[int, int] | None
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)


def im2col_of(node: onnx.NodeProto, weight_shape: Sequence[int]) -> Im2col:
    """How a Conv, Gemm or MatMul with a weight of that shape reads its input."""
    if node.op_type != "Conv":
        return Im2col(None)
    given = {attribute.name: tuple(attribute.ints) for attribute in node.attribute if attribute.ints}
    kernel = (int(weight_shape[2]), int(weight_shape[3]))
    top, left, bottom, right = given.get("pads", (0, 0, 0, 0))
    strides, dilations = given.get("strides", (1, 1)), given.get("dilations", (1, 1))
    return Im2col(kernel, (strides[0], strides[1]), (top, left, bottom, right), (dilations[0], dilations[1]))


def input_columns(x: Floats, im2col: Im2col, rows: int, rng: np.random.Generator) -> Floats:
    """Input columns of a layer, as rows of a matrix.

    Args:
        x: the layer's input: [..., K] for a product, [1, C, H, W] for a convolution.
        im2col: how the layer reads it.
        rows: how many columns at most; more are drawn at random, without replacement.
        rng: what draws them.

    Returns:
        [rows, K] float32, K in the order of the weight's own axes (C, kh, kw).
    """
    if im2col.kernel is None:
        matrix = x.reshape(-1, x.shape[-1])
        return np.ascontiguousarray(matrix[_draw(len(matrix), rows, rng)])
    (kh, kw), (sy, sx), (top, left, bottom, right), (dy, dx) = (
        im2col.kernel, im2col.strides, im2col.pads, im2col.dilations
    )  # fmt: skip
    padded = np.pad(x[0], ((0, 0), (top, bottom), (left, right)))
    channels, height, width = padded.shape
    out_h, out_w = (height - dy * (kh - 1) - 1) // sy + 1, (width - dx * (kw - 1) - 1) // sx + 1
    chosen = _draw(out_h * out_w, rows, rng)
    y, x_left = np.divmod(chosen, out_w)
    ky, kx = np.meshgrid(np.arange(kh) * dy, np.arange(kw) * dx, indexing="ij")
    gathered = padded[:, (y[:, None, None] * sy + ky), (x_left[:, None, None] * sx + kx)]
    return np.ascontiguousarray(gathered.transpose(1, 0, 2, 3)).reshape(len(chosen), channels * kh * kw)


def _draw(count: int, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if count <= rows:
        return np.arange(count)
    return np.sort(rng.choice(count, rows, replace=False))
