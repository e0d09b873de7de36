"""How like a phone's results are to this machine's, and how like is enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import TargetError
from qnn_sd.metrics import MIN_SQNR_DB, psnr_db, sqnr_db

# Two images that a person can't tell apart: the demo model's binaries reach 33 dB and more against the
# float model, from which they differ by far more than a phone should from the emulator of its arithmetic.
MIN_IMAGE_PSNR_DB = 30.0
_HINT = "Send the report: the phone computes something else than the binary says."


@dataclass(frozen=True)
class Match:
    """Of two results.

    Attributes:
        identical: whether they are equal to the bit.
        db: their ratio in dB, 200 if they are equal; NaN if one holds what is no number.
    """

    identical: bool
    db: float

    @property
    def text(self) -> str:
        """For people."""
        return "bit-identical" if self.identical else f"{self.db:.1f} dB"

    @property
    def details(self) -> dict[str, Any]:
        """Plain JSON values; ``db`` is null where it is no finite number."""
        return {"bit_identical": self.identical, "db": round(self.db, 2) if math.isfinite(self.db) else None}


def match_of_outputs(reference: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> Match:
    """SQNR of some outputs of one component; power and noise are summed over them.

    Args:
        reference: what they should be.
        found: what they are, in the same shapes.
    """
    expected, came = np.stack(reference), np.stack(found)
    return Match(np.array_equal(expected, came), sqnr_db(expected, came))


def match_of_images(reference: NDArray[np.uint8], found: NDArray[np.uint8]) -> Match:
    """PSNR of two images, uint8 in the same shape."""
    return Match(np.array_equal(reference, found), psnr_db(reference, found))


def require_matching_outputs(component: str, against: str, match: Match) -> None:
    """Raises a TargetError for outputs that aren't faithful; NaN isn't."""
    if not match.db >= MIN_SQNR_DB:
        raise TargetError(
            f"{component} computes something else on the phone than {against}",
            why=f"They agree to {match.db:.1f} dB SQNR, {MIN_SQNR_DB:.0f} dB is the least.",
            hint=_HINT,
        )


def require_matching_image(match: Match) -> None:
    """Raises a TargetError for an image that looks otherwise than the emulator's."""
    if not match.db >= MIN_IMAGE_PSNR_DB:
        raise TargetError(
            "The phone's image is another one than the emulator's",
            why=f"They agree to {match.db:.1f} dB PSNR, {MIN_IMAGE_PSNR_DB:.0f} dB is the least.",
            hint=_HINT,
        )
