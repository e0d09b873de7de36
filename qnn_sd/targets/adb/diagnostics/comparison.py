"""Compares a phone's results with this computer's, and says how close they must be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import TargetError
from qnn_sd.metrics import MIN_SQNR_DB, psnr_db, sqnr_db

# Images that a person can't tell apart. The demo model's binaries reach 33 dB and more against the float model, and a
# phone should differ far less from the emulator of its own arithmetic.
MIN_IMAGE_PSNR_DB = 30.0
_HINT = "Send the report: the phone's results differ from what the binary computes on the emulator."


@dataclass(frozen=True)
class Match:
    """How well two results agree.

    Attributes:
        identical: whether they are bit-identical.
        db: SQNR or PSNR in dB, 200 if they are equal; NaN if one contains NaN.
    """

    identical: bool
    db: float

    @property
    def text(self) -> str:
        """For people."""
        return "bit-identical" if self.identical else f"{self.db:.1f} dB"

    @property
    def details(self) -> dict[str, Any]:
        """The same as JSON values; ``db`` is null if it isn't finite."""
        return {"bit_identical": self.identical, "db": round(self.db, 2) if math.isfinite(self.db) else None}


def compare_outputs(reference: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> Match:
    """SQNR of one component's outputs; power and noise are summed over its calls.

    Args:
        reference: the expected outputs, one per call.
        found: the phone's, in the same shapes.
    """
    expected, actual = np.stack(reference), np.stack(found)
    return Match(np.array_equal(expected, actual), sqnr_db(expected, actual))


def compare_images(reference: NDArray[np.uint8], found: NDArray[np.uint8]) -> Match:
    """PSNR of two images: uint8, in the same shape."""
    return Match(np.array_equal(reference, found), psnr_db(reference, found))


def require_matching_outputs(component: str, reference: str, match: Match) -> None:
    """Checks a component's outputs.

    Raises:
        TargetError: the SQNR is less than ``MIN_SQNR_DB``, or NaN.
    """
    if not match.db >= MIN_SQNR_DB:
        raise TargetError(
            f"The results of {component} on the phone differ from those of {reference}",
            why=f"The SQNR is {match.db:.1f} dB; at least {MIN_SQNR_DB:.0f} dB is required.",
            hint=_HINT,
        )


def require_matching_image(match: Match) -> None:
    """Checks an image against the emulator's.

    Raises:
        TargetError: the PSNR is less than ``MIN_IMAGE_PSNR_DB``, or NaN.
    """
    if not match.db >= MIN_IMAGE_PSNR_DB:
        raise TargetError(
            "The phone's image differs from the emulator's",
            why=f"The PSNR is {match.db:.1f} dB; at least {MIN_IMAGE_PSNR_DB:.0f} dB is required.",
            hint=_HINT,
        )
