"""Rounds a layer's weights up or down so that its output errs least (AdaRound's objective, solved directly).

Nagel et al. 2020 ("Up or Down? Adaptive Rounding for Post-Training Quantization") choose, for each weight, the integer
below or above it, so that the layer's mean squared output error tr(E G E^T) is least, and relax the choice to a smooth
one for gradient descent. Over the Gram matrix G of the inputs the choice can be made directly: weight by weight, each
error handed on to the weights that can still make up for it (as GPTQ does, Frantar et al. 2022, with the integers held
to the two that AdaRound allows), then coordinate descent until no single change helps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# What G is mixed with its own diagonal: correlations between inputs are known from few samples, so an optimum that
# relies on all of them fits the samples and not the layer. Chosen on held-out data (docs/quantization.md).
SHRINKAGE = 0.05
# Columns that are rounded one after the other before the rest hears of it; a matter of speed alone.
_BLOCK = 128
_SWEEPS = 20
# A sweep that changes no larger share of the choices is the last: the next ones gain hundredths of a dB.
_SETTLED = 1e-3
# Weights are symmetric: -128 has no counterpart.
_LARGEST = 127


def round_weights(weight: Floats, scale: Floats, gram: Floats) -> NDArray[np.int8]:
    """The integers, each the one below or above its weight, with which a layer errs least.

    Args:
        weight: [out, K] float32.
        scale: [out] float32, each channel's step.
        gram: [K, K] float32, mean of x x^T over the layer's inputs x.

    Returns:
        [out, K] int8.
    """
    steps = weight / scale[:, None]
    low = np.clip(np.floor(steps), -_LARGEST, _LARGEST - 1)
    mixed, spread = _normalized(gram)
    order = np.argsort(-spread, kind="stable")
    up = np.empty(low.shape, bool)
    up[:, order] = _in_order(steps[:, order], low[:, order], mixed[np.ix_(order, order)], spread[order])
    _descend(up, steps - low, mixed, spread)
    return np.asarray(low + up, np.int8)


def _normalized(gram: Floats) -> tuple[Floats, Floats]:
    """G with ones on its diagonal, shrunk; and the roots of the diagonal that it had."""
    spread = np.sqrt(np.maximum(np.diag(gram), 0))
    # An input that was always zero: any choice is as good, and none may divide by it.
    safe = np.where(spread > 0, spread, 1).astype(np.float32)
    mixed = gram / safe
    mixed /= safe[:, None]
    mixed *= np.float32(1 - SHRINKAGE)
    np.fill_diagonal(mixed, 1)
    return mixed, safe


def _in_order(steps: Floats, low: Floats, mixed: Floats, spread: Floats) -> NDArray[np.bool_]:
    """Rounds column after column, handing each error on; all in units of a channel's step."""
    inverse = _inverse_factor(mixed) / spread
    wanted = steps.copy()
    up = np.empty(steps.shape, bool)
    size = steps.shape[1]
    for start in range(0, size, _BLOCK):
        end = min(start + _BLOCK, size)
        local, factor = wanted[:, start:end], inverse[start:end, start:end]
        errors = np.empty_like(local)
        for k in range(end - start):
            up[:, start + k] = local[:, k] >= low[:, start + k] + np.float32(0.5)
            errors[:, k] = (local[:, k] - low[:, start + k] - up[:, start + k]) / factor[k, k]
            local[:, k:] -= errors[:, k, None] * factor[k, k:]
        wanted[:, end:] -= errors @ inverse[start:end, end:]
    return up


def _inverse_factor(matrix: Floats) -> Floats:
    """Upper triangular U with U^T U = matrix^-1."""
    # The factor of the matrix turned around is the one that begins at the other end.
    factor = np.linalg.cholesky(matrix[::-1, ::-1])[::-1, ::-1]
    return _inverse_of_upper(np.ascontiguousarray(factor))


def _inverse_of_upper(upper: Floats) -> Floats:
    """The inverse of an upper triangular matrix, by halves."""
    size = len(upper)
    if size <= _BLOCK:
        return np.triu(np.linalg.inv(upper))
    half = size // 2
    result = np.zeros_like(upper)
    result[:half, :half] = _inverse_of_upper(upper[:half, :half])
    result[half:, half:] = _inverse_of_upper(upper[half:, half:])
    result[:half, half:] = -result[:half, :half] @ (upper[:half, half:] @ result[half:, half:])
    return result


def _descend(up: NDArray[np.bool_], fraction: Floats, mixed: Floats, spread: Floats) -> None:
    """Changes single choices, column by column, as long as that lowers the error; in place."""
    error = (up - fraction) * spread
    slope = error @ mixed
    size = up.shape[1]
    for _sweep in range(_SWEEPS):
        changed = 0
        for start in range(0, size, _BLOCK):
            end = min(start + _BLOCK, size)
            block_rows = mixed[start:end]
            local, block = slope[:, start:end].copy(), block_rows[:, start:end]
            moved = np.zeros_like(local)
            for k in range(end - start):
                chosen = up[:, start + k]
                step = np.where(chosen, -spread[start + k], spread[start + k])
                # (e + s)^T G (e + s) - e^T G e, with a diagonal of ones.
                better = np.flatnonzero(step * (2 * local[:, k] + step) < 0)
                if better.size:
                    up[better, start + k] ^= True
                    moved[better, k] = step[better]
                    local[better] += step[better, None] * block[k]
                    changed += better.size
            touched = np.flatnonzero(moved.any(axis=0))
            slope += moved[:, touched] @ block_rows[touched]
        if changed <= _SETTLED * up.size:
            return
