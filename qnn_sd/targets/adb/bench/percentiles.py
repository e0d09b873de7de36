"""Median and percentiles of repeated measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Percentiles:
    """Median and percentiles of repeated measurements, in their unit.

    The p-th percentile of n values lies at place (n - 1) * p / 100 of the sorted values, counted from 0, and
    between two places on the straight line (Hyndman and Fan 1996, type 7; numpy's default). The
    median is the 50th. Of few values the 10th and 90th are thus between the outermost ones.

    Attributes:
        median: the 50th percentile.
        p10: the 10th percentile.
        p90: the 90th percentile.
        least: the smallest value.
        most: the largest value.
    """

    median: float
    p10: float
    p90: float
    least: float
    most: float


def percentiles_of(values: Sequence[float]) -> Percentiles:
    """Their median and percentiles.

    Args:
        values: at least one, in any order.
    """
    least, p10, median, p90, most = (float(value) for value in np.percentile(values, (0, 10, 50, 90, 100)))
    return Percentiles(median, p10, p90, least, most)
