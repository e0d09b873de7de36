"""The moments of what goes into a layer: all that its rounding error depends on.

A layer with weights W is fed x by layers that are quantized already; the float model would feed it x'. With E the error
of its weights [out, K], its output lacks d - E x, where d = W (x' - x) is the input error: what the layers before it
cost. The mean square of that is E[|d|^2] - 2 tr(D E^T) + tr(E G E^T), with the Gram matrix G = E[x x^T] and
D = E[d x^T]. So one pass over the activations is enough.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qnn_sd.quantize.adaround.backend import NUMPY, Backend

Floats = NDArray[np.float32]
# Share of a power below which float32 can't tell another from zero.
_VANISHED = 1e-20
# Rows of a Gram matrix that are added to at a time.
_STRIPE = 2048


class GramMatrix:
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
        # The matrix is symmetric: the half above the diagonal is enough. In stripes, as the product needs memory too.
        for start in range(0, len(self._sum), _STRIPE):
            self._sum[start : start + _STRIPE, start:] += x[:, start : start + _STRIPE].T @ x[:, start:]
        self.rows += len(matrix)

    def mean(self) -> Floats:
        """[K, K], the mean over all columns. It takes over the sum: to be called once."""
        total = self._backend.get(self._sum)
        del self._sum  # a wide layer's is gigabytes, and the solver needs two more matrices of its size
        total /= np.float32(max(1, self.rows))
        for start in range(0, len(total), _STRIPE):
            end = start + _STRIPE
            corner = total[start:end, start:end]
            corner[:] = np.triu(corner) + np.triu(corner, 1).T
            total[end:, start:end] = total[start:end, end:].T
        return total


class InputError:
    """A running sum of d x^T, where d is what a layer's output lacks because of the layers before it.

    Args:
        weight: the layer's, [out, K] float32.
        backend: where it is computed.
    """

    def __init__(self, weight: Floats, backend: Backend = NUMPY) -> None:
        self._backend = backend
        self._weight = backend.put(weight)
        self._sum = backend.put(np.zeros(weight.shape, np.float32))
        self._power, self.rows = 0.0, 0

    def add(self, matrix: Floats, input_difference: Floats) -> None:
        """Adds input columns as the quantized graph feeds them, and what the float one's have more: [rows, K]."""
        input_error = self._backend.put(input_difference) @ self._weight.T
        self._sum += input_error.T @ self._backend.put(matrix)
        self._power += float((input_error * input_error).sum())
        self.rows += len(matrix)

    def mean(self) -> Floats:
        """D, [out, K]."""
        return self._backend.get(self._sum / max(1, self.rows))

    def power(self) -> float:
        """The mean of |d|^2, added up over channels."""
        return self._power / max(1, self.rows)


def error_power(error: Floats, matrix: Floats, input_error: Floats | float = 0.0) -> float:
    """Mean squared error of a layer's outputs for some input columns, added up over channels.

    Args:
        error: of its weights, [out, K].
        matrix: the input columns, [rows, K].
        input_error: what the outputs lack however the weights are rounded, [rows, out].
    """
    return float(np.square(input_error - matrix @ error.T).sum(dtype=np.float64)) / max(1, len(matrix))


def gain_db(before: float, after: float) -> float:
    """How much smaller a power became, in dB; 0 where there was none, and at most what float32 can resolve."""
    return 10 * math.log10(before / max(after, _VANISHED * before)) if before > 0 else 0.0
