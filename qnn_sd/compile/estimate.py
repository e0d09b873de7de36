"""How long a graph takes, as the HTP compiler estimates it: read off its profiling file.

The compiler of QAIRT 2.48 and later simulates the schedule that it has laid out, for some SoCs. An estimate is not a
measurement: how far it lies from silicon is in docs/htp-forms.md.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Its columns: time stamp, message, value, unit, source, level, name.
_VALUE, _LEVEL, _NAME = 2, 5, 6
_ROOT = "Performance Estimates"
_FIGURES = {
    "Simulated (Accelerator exec cycles)": "cycles",
    "Simulated (Accelerator exec time us)": "us",
    "Simulated (Accelerator exec time us (lower estimate))": "lower_us",
    "Simulated (Accelerator exec time us (upper estimate))": "upper_us",
}
_UNCOSTED = "Missing Ops"


@dataclass(frozen=True)
class Estimate:
    """One call of a graph on the HTP, nothing else running there.

    Attributes:
        ms: milliseconds.
        lower_ms: its lower estimate.
        upper_ms: its upper estimate.
        cycles: of the HTP.
        uncosted: the ops that the compiler has no cost for, and counts as nothing.
    """

    ms: float
    lower_ms: float
    upper_ms: float
    cycles: int
    uncosted: tuple[str, ...]


def profiling_options(file: Path) -> Mapping[str, str]:
    """Provider options that have the compiler write its profiling file, which must not be there yet: it appends."""
    return {"profiling_level": "detailed", "profiling_file_path": str(file)}


def read_estimate(file: Path) -> Estimate | None:
    """The estimate in a compile's profiling file; None where the compiler has none for the SoC.

    Args:
        file: CSV; it may be missing.
    """
    if not file.is_file():
        return None
    figures: dict[str, int] = {}
    uncosted: list[str] = []
    inside = listed = False
    with file.open(newline="", encoding="utf-8", errors="replace") as lines:
        for row in csv.reader(lines):
            if len(row) <= _NAME:
                continue
            name = row[_NAME].strip()
            if row[_LEVEL] == "ROOT":
                inside, listed = name == _ROOT, False
            elif inside and name in _FIGURES:
                figures[_FIGURES[name]] = int(row[_VALUE])
            elif inside and name.startswith(_UNCOSTED):
                listed = True
            elif listed:
                uncosted.append(name.rpartition(" : ")[0] or name)
    if figures.keys() != set(_FIGURES.values()):
        return None
    return Estimate(
        figures["us"] / 1e3,
        figures["lower_us"] / 1e3,
        figures["upper_us"] / 1e3,
        figures["cycles"],
        tuple(uncosted),
    )
