"""The second moments of what goes into a layer: all that its rounding error depends on.

With E the error of a layer's weights [out, K] and x its input columns [K], the mean squared error of its output is
E[|E x|^2] = tr(E G E^T) with G = E[x x^T], the Gram matrix of the inputs. So the activations are looked at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from qnn_sd.quantize.adaround.backend import NUMPY, Backend

Floats = NDArray[np.float32]
# A power that float32 can't tell from zero beside the other.
_VANISHED = 1e-20
# Rows of a Gram matrix that are added to at a time.
_STRIPE = 2048


@dataclass(frozen=True)
class Window:
    """How a layer reads its input.

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


def window_of(node: onnx.NodeProto, weight_shape: Sequence[int]) -> Window:
    """The window of a Conv, Gemm or MatMul with a weight of that shape."""
    if node.op_type != "Conv":
        return Window(None)
    given = {attribute.name: tuple(attribute.ints) for attribute in node.attribute if attribute.ints}
    kernel = (int(weight_shape[2]), int(weight_shape[3]))
    top, left, bottom, right = given.get("pads", (0, 0, 0, 0))
    strides, dilations = given.get("strides", (1, 1)), given.get("dilations", (1, 1))
    return Window(kernel, (strides[0], strides[1]), (top, left, bottom, right), (dilations[0], dilations[1]))


def columns(x: Floats, window: Window, rows: int, rng: np.random.Generator) -> Floats:
    """Input columns of a layer, as rows of a matrix.

    Args:
        x: the layer's input: [..., K] for a product, [1, C, H, W] for a convolution.
        window: how the layer reads it.
        rows: how many columns at most; more are drawn at random, without replacement.
        rng: what draws them.

    Returns:
        [rows, K] float32, K in the order of the weight's own axes (C, kh, kw).
    """
    if window.kernel is None:
        matrix = x.reshape(-1, x.shape[-1])
        return np.ascontiguousarray(matrix[_drawn(len(matrix), rows, rng)])
    (kh, kw), (sy, sx), (top, left, bottom, right), (dy, dx) = (
        window.kernel, window.strides, window.pads, window.dilations
    )  # fmt: skip
    padded = np.pad(x[0], ((0, 0), (top, bottom), (left, right)))
    channels, height, width = padded.shape
    out_h, out_w = (height - dy * (kh - 1) - 1) // sy + 1, (width - dx * (kw - 1) - 1) // sx + 1
    chosen = _drawn(out_h * out_w, rows, rng)
    y, z = np.divmod(chosen, out_w)
    ky, kx = np.meshgrid(np.arange(kh) * dy, np.arange(kw) * dx, indexing="ij")
    gathered = padded[:, (y[:, None, None] * sy + ky), (z[:, None, None] * sx + kx)]
    return np.ascontiguousarray(gathered.transpose(1, 0, 2, 3)).reshape(len(chosen), channels * kh * kw)


def _drawn(count: int, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if count <= rows:
        return np.arange(count)
    return np.sort(rng.choice(count, rows, replace=False))


class Gram:
    """A running sum of x x^T.

    Args:
        size: K.
        backend: where it is computed.
    """

    def __init__(self, size: int, backend: Backend = NUMPY) -> None:
        self._backend = backend
        self._sum = backend.put(np.zeros((size, size), np.float32))
        self.rows = 0

    def add(self, matrix: Floats) -> None:
        """Adds input columns, [rows, K]."""
        x = self._backend.put(matrix)
        # The half below the diagonal is the same once more. In stripes, for the product needs memory too.
        for start in range(0, len(self._sum), _STRIPE):
            self._sum[start : start + _STRIPE, start:] += x[:, start : start + _STRIPE].T @ x[:, start:]
        self.rows += len(matrix)

    def mean(self) -> Floats:
        """[K, K], the mean over all columns; the sum is given up for it."""
        total = self._backend.get(self._sum)
        total /= np.float32(max(1, self.rows))
        for start in range(0, len(total), _STRIPE):
            end = start + _STRIPE
            corner = total[start:end, start:end]
            corner[:] = np.triu(corner) + np.triu(corner, 1).T
            total[end:, start:end] = total[start:end, end:].T
        return total


def error_power(error: Floats, matrix: Floats) -> float:
    """Mean squared error of the outputs for some input columns [rows, K], added up over channels; error is [out, K]."""
    return float(np.square(error @ matrix.T).sum(dtype=np.float64)) / max(1, len(matrix))


def gain_db(before: float, after: float) -> float:
    """How much smaller a power became, in dB; 0 where there was none, and at most what float32 can tell."""
    return 10 * math.log10(before / max(after, _VANISHED * before)) if before > 0 else 0.0
