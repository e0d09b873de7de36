"""Rounds a layer's weights up or down so that its output errs least (AdaRound's objective, solved directly).

Nagel et al. 2020 ("Up or Down? Adaptive Rounding for Post-Training Quantization") choose, for each weight, the integer
below or above it, so that the layer's mean squared output error tr(E G E^T) is least, and relax the choice to a smooth
one for gradient descent. Over the Gram matrix G of the inputs the choice can be made directly: weight by weight, each
error handed on to the weights that can still make up for it (as GPTQ does, Frantar et al. 2022, with the integers held
to the two that AdaRound allows), then coordinate descent until no single change helps.

What the layers before it have cost is made up for as well: with D = E[d x^T], where d is what the layer's output lacks
on account of its inputs (moments.py), weights of W + D G^-1 would come closest to the float model's output. They are
the target, by choices among the neighbours of W: AdaRound's asymmetric reconstruction, solved directly too.

GPTQ hands errors on by the inverse of G. With G = L L^T the same choices follow from L itself (Chee et al. 2023,
"QuIP"): |L^T e|^2 is a sum with one term per weight, which holds that weight's error and those before it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qnn_sd.quantize.adaround.backend import NUMPY, Backend, Matrix
from qnn_sd.quantize.encodings import Integers
from qnn_sd.quantize.encodings.encoding import integer_limits

Floats = NDArray[np.float32]

# What G is mixed with its own diagonal: correlations between inputs are known from few samples, so an optimum that
# relies on all of them fits the samples and not the layer; the fewer the rows, the more. Chosen on held-out data
# (docs/quantization.md).
_SHRINKAGE, _MOST_SHRINKAGE = 0.1, 0.4
# Columns that are rounded before their errors are handed on to those outside the block; it changes the speed alone.
_BLOCK = 128
# Columns of a block of the Cholesky factor; likewise.
_FACTOR_BLOCK = 1024
_SWEEPS = 20
# A sweep that changes at most this share of the choices is the last: all further ones together gain 0.02 dB.
_SETTLED = 5e-3


class RoundingSolver:
    """Rounds the layers that one input goes into.

    Args:
        gram: [K, K] float32, mean of x x^T over the layers' inputs x; it is changed.
        rows: how many inputs it is the mean of.
        backend: where to compute.
    """

    def __init__(self, gram: Floats, rows: int, backend: Backend = NUMPY) -> None:
        self._backend = backend
        self._shrinkage = float(np.clip(_SHRINKAGE * len(gram) / max(1, rows), _SHRINKAGE, _MOST_SHRINKAGE))
        rms = np.sqrt(np.maximum(np.diag(gram), 0))
        # An input that was always zero: any choice is as good, and nothing may be divided by its RMS.
        divisor = np.where(rms > 0, rms, 1).astype(np.float32)
        # The last column is the first to be rounded: the loudest, whose error all others can make up for.
        self._order = np.argsort(rms, kind="stable")
        self._rms = divisor[self._order]
        gram /= divisor
        gram /= divisor[:, None]
        gram *= np.float32(1 - self._shrinkage)
        np.fill_diagonal(gram, 1)
        self._mixed = backend.put(gram[np.ix_(self._order, self._order)])
        self._factor = factor(self._mixed, backend)

    def target(self, weight: Floats, input_error: Floats) -> Floats:
        """The weights, of any size, that would come closest to the float model's output from the inputs that they get.

        Args:
            weight: the float model's, [out, K] float32.
            input_error: D, [out, K] float32.

        Returns:
            [out, K] float32.
        """
        shrunk = self._backend.put((1 - self._shrinkage) * input_error[:, self._order] / self._rms)
        target = weight.copy()
        target[:, self._order] += self._backend.get(_solve(self._factor, shrunk, self._backend)) / self._rms
        return target

    def round(self, weight: Floats, scale: Floats, bits: int, target: Floats | None = None) -> Integers:
        """The integers, each the one below or above its weight, with which a layer errs least.

        What is an integer already, as a channel's largest weight is, may become the next one as well.

        Args:
            weight: [out, K] float32.
            scale: [out] float32, each channel's step.
            bits: of the integers, 8 at most.
            target: [out, K] float32, the weights with which it would not err; ``weight`` if not given.

        Returns:
            [out, K] int8, symmetric: with 8 bits from -127 to 127.
        """
        lowest, largest = integer_limits(bits, signed=True, narrow_range=True)
        low = np.clip(np.floor(weight[:, self._order] / scale[:, None]), lowest, largest - 1)
        exact = (weight if target is None else target)[:, self._order] / scale[:, None]
        # Errors count in steps times the RMS of their input: so measured, each has the same weight.
        down = self._backend.put((low - exact) * self._rms)
        size = self._backend.put(self._rms)
        error = _round_in_order(down, size, self._factor)
        _coordinate_descent(error, down, size, self._mixed, self._backend)
        up = self._backend.get(error > down)
        integers = np.empty(low.shape, np.int8)
        integers[:, self._order] = low + up
        return integers

    def power(self, error: Floats) -> float:
        """tr(E G E^T), the mean square, added up over channels, of what weights' errors [out, K] do to the outputs."""
        scaled = self._backend.put(error[:, self._order] * self._rms)
        mixed, own = (float((matrix * scaled).sum()) for matrix in (scaled @ self._mixed, scaled))
        return max(0.0, (mixed - self._shrinkage * own) / (1 - self._shrinkage))


def factor(matrix: Matrix, backend: Backend = NUMPY) -> Matrix:
    """Cholesky's factor of a symmetric positive definite matrix, by blocks.

    Both libraries have one, which takes three times the matrix in memory and on the CPU five times as long.

    Args:
        matrix: [K, K] float32; it is left as it is.
        backend: whose it is.

    Returns:
        [K, K] float32, L with L L^T = matrix; what is above its diagonal is meaningless.
    """
    linalg = backend.library.linalg
    lower = matrix + 0
    size = len(lower)
    for start in range(0, size, _FACTOR_BLOCK):
        end = min(start + _FACTOR_BLOCK, size)
        corner = linalg.cholesky(lower[start:end, start:end])
        lower[start:end, start:end] = corner
        panel = lower[end:, start:end] @ linalg.inv(corner).T
        lower[end:, start:end] = panel
        for first in range(end, size, _FACTOR_BLOCK):
            rows = panel[first - end :]
            lower[first:, first : first + _FACTOR_BLOCK] -= rows @ rows[:_FACTOR_BLOCK].T
    return lower


def _solve(lower: Matrix, right: Matrix, backend: Backend) -> Matrix:
    """X with X L L^T = right, by the blocks of ``factor``; right is [out, K].

    As for the factor: numpy's own would copy the matrix and not make use of its triangle.
    """
    found = right + 0
    blocks = [slice(start, start + _FACTOR_BLOCK) for start in range(0, len(lower), _FACTOR_BLOCK)]
    corners = [backend.library.linalg.inv(lower[block, block]) for block in blocks]
    for block, corner in zip(blocks, corners, strict=True):
        found[:, block] = (found[:, block] - found[:, : block.start] @ lower[block, : block.start].T) @ corner.T
    for block, corner in zip(reversed(blocks), reversed(corners), strict=True):
        found[:, block] = (found[:, block] - found[:, block.stop :] @ lower[block.stop :, block]) @ corner
    return found


def _round_in_order(down: Matrix, size: Matrix, lower: Matrix) -> Matrix:
    """Rounds column after column, from the last one, handing each error on.

    Args:
        down: [out, K], the errors that rounding down makes.
        size: [K], what rounding up adds to them.
        lower: [K, K], L with L L^T = G.

    Returns:
        [out, K], the errors of what was chosen.
    """
    error = down + 0
    for start in reversed(range(0, down.shape[1], _BLOCK)):
        end = min(start + _BLOCK, down.shape[1])
        local = lower[start:end, start:end]
        handed = error[:, end:] @ lower[end:, start:end]
        for k in reversed(range(end - start)):
            # From the point halfway between both choices, either errs as much.
            halfway = error[:, start + k] + size[start + k] / 2
            error[:, start + k] += size[start + k] * (-handed[:, k] >= halfway * local[k, k])
            handed[:, :k] += error[:, start + k, None] * local[k, :k]
    return error


def _coordinate_descent(error: Matrix, down: Matrix, size: Matrix, mixed: Matrix, backend: Backend) -> None:
    """Changes single choices, column by column, as long as that lowers the error; ``error`` in place."""
    library = backend.library
    slope = error @ mixed
    outputs, columns = error.shape
    for _sweep in range(_SWEEPS):
        changed = 0
        for start in range(0, columns, _BLOCK):
            end = min(start + _BLOCK, columns)
            block_rows = mixed[start:end]
            local, block = slope[:, start:end] + 0, block_rows[:, start:end]
            moved = library.zeros_like(local)
            for k in range(end - start):
                step = library.where(error[:, start + k] > down[:, start + k], -size[start + k], size[start + k])
                # (e + s)^T G (e + s) - e^T G e, with a diagonal of ones.
                better = library.where(step * (2 * local[:, k] + step) < 0)[0]
                if len(better):
                    moved[better, k] = step[better]
                    local[better] += step[better, None] * block[k]
                    changed += len(better)
            # Set, not added to: what was changed and changed back is what it was, to the bit.
            ups = (error[:, start:end] > down[:, start:end]) ^ (moved != 0)
            error[:, start:end] = down[:, start:end] + ups * size[start:end]
            touched = library.where((moved != 0).any(0))[0]
            slope += moved[:, touched] @ block_rows[touched]
        if changed <= _SETTLED * outputs * columns:
            return
