"""What a device measured: AI Hub's profile of a job, in this package's units."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qnn_sd.errors import HubServiceError

# AI Hub counts microseconds.
_PER_MS = 1000.0


@dataclass(frozen=True)
class HubOp:
    """One layer of a profile.

    Attributes:
        name: as the device has it.
        type: of the op; empty where the device doesn't say.
        unit: ``NPU``, ``GPU`` or ``CPU``.
        ms: its time; None where it wasn't measured.
        cycles: of the HTP; None where they weren't counted.
    """

    name: str
    type: str
    unit: str
    ms: float | None
    cycles: int | None


@dataclass(frozen=True)
class HubProfile:
    """What a device measured of one network.

    Attributes:
        estimated_ms: a call, as AI Hub sums it up.
        all_ms: each call that was measured; empty where AI Hub gives no single ones.
        first_load_ms: the first load; None where it wasn't measured.
        warm_load_ms: a later load; likewise.
        peak_bytes: the most memory while it ran; likewise.
        ops: its layers.
    """

    estimated_ms: float
    all_ms: tuple[float, ...]
    first_load_ms: float | None
    warm_load_ms: float | None
    peak_bytes: int | None
    ops: tuple[HubOp, ...]

    @property
    def median_ms(self) -> float:
        """Of the calls; AI Hub's own figure where it gives no single ones."""
        return statistics.median(self.all_ms) if self.all_ms else self.estimated_ms

    @property
    def best_ms(self) -> float:
        """The shortest call; AI Hub's own figure where it gives no single ones."""
        return min(self.all_ms, default=self.estimated_ms)

    @property
    def load_ms(self) -> float | None:
        """The first load, or a later one where only that was measured."""
        return self.first_load_ms if self.first_load_ms is not None else self.warm_load_ms

    @property
    def layers(self) -> dict[str, int]:
        """Layers by compute unit, the HTP first."""
        counted = Counter(each.unit for each in self.ops)
        return {unit: counted[unit] for unit in sorted(counted, key=lambda each: (each != "NPU", each))}

    def slowest(self, count: int) -> list[HubOp]:
        """The layers that took longest, by time or else by cycles."""
        timed = [each for each in self.ops if each.ms or each.cycles]
        return sorted(timed, key=lambda each: (each.ms or 0.0, each.cycles or 0), reverse=True)[:count]


def profile_of_json(content: Mapping[str, Any]) -> HubProfile:
    """A profile from what ``InferenceJob.download_profile`` gives.

    Args:
        content: its dictionary; times in microseconds, memory in bytes. What is missing there is None here.

    Raises:
        HubServiceError: it has no time of a call, or isn't what AI Hub's client makes.
    """
    try:
        found = _read(content)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise HubServiceError(
            "The profile can't be read",
            why=f"It isn't as AI Hub's client makes it ({type(error).__name__}).",
            hint="Look at the job's page.",
        ) from error
    if found is None:
        raise HubServiceError(
            "The profile is empty", why="It has no time of a call above 0.", hint="Look at the job's page."
        )
    return found


def _read(content: Mapping[str, Any]) -> HubProfile | None:
    summary = content["execution_summary"]
    estimated_ms = _ms(summary.get("estimated_inference_time"))
    if estimated_ms is None:
        return None
    return HubProfile(
        estimated_ms=estimated_ms,
        all_ms=tuple(ms for each in summary.get("all_inference_times") or () if (ms := _ms(each)) is not None),
        first_load_ms=_ms(summary.get("first_load_time")),
        warm_load_ms=_ms(summary.get("warm_load_time")),
        peak_bytes=_peak(summary),
        ops=tuple(_op(each) for each in content.get("execution_detail") or ()),
    )


def _ms(microseconds: float | None) -> float | None:
    # A profile that lacks a figure has a 0 in its place.
    return None if not microseconds or (ms := _finite_ms(microseconds)) is None or ms <= 0 else ms


def _finite_ms(microseconds: float) -> float | None:
    ms = float(microseconds) / _PER_MS
    return ms if math.isfinite(ms) else None


def _peak(summary: Mapping[str, Any]) -> int | None:
    bounds = summary.get("inference_memory_peak_range")
    return (int(bounds[1]) if bounds else None) or summary.get("estimated_inference_peak_memory") or None


def _op(layer: Mapping[str, Any]) -> HubOp:
    return HubOp(
        str(layer.get("name", "")),
        str(layer.get("type", "")),
        str(layer.get("compute_unit", "UNSPECIFIED")),
        _finite_ms(layer["execution_time"]) if layer.get("execution_time") is not None else None,
        layer.get("execution_cycles"),
    )
