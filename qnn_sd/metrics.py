"""How near two results are: SQNR and PSNR."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A graph on the HTP against the CPU's run of its QDQ graph, in dB SQNR: faithful binaries measure 55 dB and
# more, wrongly compiled ones below 20 (docs/htp-forms.md).
MIN_SQNR_DB = 50.0
# What equal arrays have instead of infinity, which JSON hasn't: no float32 result comes near it.
MAX_DB = 200.0


def _alike(reference: ArrayLike, other: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as float64, if they have one shape."""
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
    return a, b


def sqnr_db(reference: ArrayLike, other: ArrayLike) -> float:
    """Signal to quantization noise ratio in dB: power of the reference over power of the difference.

    200 at most, -200 at least; NaN where either holds NaN or infinity, which no gate lets pass.

    Raises:
        ValueError: shapes differ.
    """
    a, b = _alike(reference, other)
    return _decibels(float(np.square(a).sum()), float(np.square(a - b).sum()))


def psnr_db(reference: ArrayLike, other: ArrayLike, peak: float = 255.0) -> float:
    """Peak signal to noise ratio in dB of two images; 200 for equal ones.

    Raises:
        ValueError: shapes differ.
    """
    a, b = _alike(reference, other)
    return _decibels(peak**2, float(np.square(a - b).mean()))


def _decibels(signal: float, noise: float) -> float:
    """Ten times the logarithm of a ratio of powers, within the bounds that a figure has."""
    if not (math.isfinite(signal) and math.isfinite(noise)):
        return math.nan
    if noise == 0:
        return MAX_DB
    return min(max(10 * math.log10(max(signal, 1e-300) / noise), -MAX_DB), MAX_DB)
