"""How like a phone's results are to this machine's, and how like is enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import TargetError
from qnn_sd.metrics import FAITHFUL_DB, psnr_db, sqnr_db

# Two pictures that a person can't tell apart: the demo model's binaries reach 33 dB and more against the
# float model, from which they differ by far more than a phone should from the emulator of its arithmetic.
PICTURE_DB = 30.0
_HINT = "Send the report: the phone computes something else than the binary says."


@dataclass(frozen=True)
class Likeness:
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
    def facts(self) -> dict[str, Any]:
        """Plain JSON values; ``db`` is null where it is no finite number."""
        return {"bit_identical": self.identical, "db": round(self.db, 2) if math.isfinite(self.db) else None}


def of_outputs(reference: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> Likeness:
    """SQNR of some outputs of one component; power and noise are summed over them.

    Args:
        reference: what they should be.
        found: what they are, in the same shapes.
    """
    expected, came = np.stack(reference), np.stack(found)
    return Likeness(np.array_equal(expected, came), sqnr_db(expected, came))


def of_pictures(reference: NDArray[np.uint8], found: NDArray[np.uint8]) -> Likeness:
    """PSNR of two pictures, uint8 in the same shape."""
    return Likeness(np.array_equal(reference, found), psnr_db(reference, found))


def hold_outputs(component: str, against: str, likeness: Likeness) -> None:
    """Raises a TargetError for outputs that aren't faithful; NaN isn't."""
    if not likeness.db >= FAITHFUL_DB:
        raise TargetError(
            f"{component} computes something else on the phone than {against}",
            why=f"They agree to {likeness.db:.1f} dB SQNR, {FAITHFUL_DB:.0f} dB is the least.",
            hint=_HINT,
        )


def hold_picture(likeness: Likeness) -> None:
    """Raises a TargetError for a picture that looks otherwise than the emulator's."""
    if not likeness.db >= PICTURE_DB:
        raise TargetError(
            "The phone's picture is another one than the emulator's",
            why=f"They agree to {likeness.db:.1f} dB PSNR, {PICTURE_DB:.0f} dB is the least.",
            hint=_HINT,
        )
