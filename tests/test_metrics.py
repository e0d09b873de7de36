"""The figures that everything is judged by: bounded, and NaN where an array holds what is no number."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from qnn_sd.metrics import MAX_DB, psnr_db, sqnr_db


def test_sqnr_is_power_over_power_of_the_difference() -> None:
    reference = np.array([3.0, 4.0])
    assert sqnr_db(reference, reference + np.array([0.3, 0.4])) == pytest.approx(20)
    assert sqnr_db(reference, np.zeros(2)) == pytest.approx(0)
    # Integers that would wrap around are no reason to.
    assert sqnr_db(np.array([200], np.uint8), np.array([220], np.uint8)) == pytest.approx(20)


def test_psnr_is_the_peak_over_the_mean_square() -> None:
    black = np.zeros((2, 2), np.uint8)
    assert psnr_db(black, black + 255) == pytest.approx(0)
    assert psnr_db(black, np.full((2, 2), 0.1), peak=1.0) == pytest.approx(20)


@pytest.mark.parametrize("values", [np.array([1.0, -2.0]), np.zeros(3)])
def test_equal_arrays_have_the_largest_figure(values: np.ndarray) -> None:
    """Not infinity, which JSON hasn't."""
    assert sqnr_db(values, values) == MAX_DB == 200
    assert json.loads(json.dumps(sqnr_db(values, values), allow_nan=False)) == 200


def test_no_figure_is_beyond_the_bounds() -> None:
    assert sqnr_db(np.zeros(2), np.ones(2)) == -200
    assert sqnr_db(np.array([1e-150]), np.array([1.0])) == -200
    assert sqnr_db(np.array([1.0]), np.array([1.0 + 2**-52])) == 200
    assert sqnr_db(np.array([1e12]), np.array([1e12 + 1])) == 200
    image = np.full((4, 4), 128.0)
    assert psnr_db(image, image) == 200
    assert psnr_db(image, image + 1e-11) == 200
    assert psnr_db(image, image + 1e14) == -200


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("metric", [sqnr_db, psnr_db])
def test_what_is_no_number_has_no_figure(metric: object, bad: float) -> None:
    """In either array, in both alike too: NaN passes no gate."""
    assert callable(metric)
    good, wrong = np.ones(4), np.array([1.0, 1.0, bad, 1.0])
    for pair in ((good, wrong), (wrong, good), (wrong, wrong)):
        assert math.isnan(metric(*pair))


@pytest.mark.parametrize("metric", [sqnr_db, psnr_db])
def test_other_shapes_are_no_comparison(metric: object) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match="shape"):
        metric(np.zeros((1, 4)), np.zeros(4))
