"""Measures of likeness between two results."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A graph on the HTP against the CPU's run of its QDQ graph, in dB SQNR: faithful binaries measure 55 dB and
# more, wrongly compiled ones below 20 (docs/decisions.md).
FAITHFUL_DB = 50.0


def _alike(reference: ArrayLike, other: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as float64, if they have one shape."""
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
    return a, b


def sqnr_db(reference: ArrayLike, other: ArrayLike) -> float:
    """Signal to quantization noise ratio in dB: power of the reference over power of the difference.

    Infinite for equal arrays.

    Raises:
        ValueError: shapes differ.
    """
    a, b = _alike(reference, other)
    noise = float(np.square(a - b).sum())
    return math.inf if noise == 0 else 10 * math.log10(max(float(np.square(a).sum()), 1e-300) / noise)


def psnr_db(reference: ArrayLike, other: ArrayLike, peak: float = 255.0) -> float:
    """Peak signal to noise ratio in dB of two pictures; infinite for equal ones.

    Raises:
        ValueError: shapes differ.
    """
    a, b = _alike(reference, other)
    error = float(np.square(a - b).mean())
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)
