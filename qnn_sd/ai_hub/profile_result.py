"""What a device measured: AI Hub's profile of a job, in this package's units."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        KeyError: it has no time of a call at all.
    """
    summary = content["execution_summary"]
    return HubProfile(
        estimated_ms=summary["estimated_inference_time"] / _PER_MS,
        all_ms=tuple(each / _PER_MS for each in summary.get("all_inference_times") or ()),
        first_load_ms=_ms(summary.get("first_load_time")),
        warm_load_ms=_ms(summary.get("warm_load_time")),
        peak_bytes=_peak(summary),
        ops=tuple(_op(each) for each in content.get("execution_detail") or ()),
    )


def _ms(microseconds: float | None) -> float | None:
    # A profile that lacks a figure has a 0 in its place.
    return microseconds / _PER_MS if microseconds else None


def _peak(summary: Mapping[str, Any]) -> int | None:
    bounds = summary.get("inference_memory_peak_range")
    return (int(bounds[1]) if bounds else None) or summary.get("estimated_inference_peak_memory") or None


def _op(layer: Mapping[str, Any]) -> HubOp:
    return HubOp(
        str(layer.get("name", "")),
        str(layer.get("type", "")),
        str(layer.get("compute_unit", "UNSPECIFIED")),
        layer["execution_time"] / _PER_MS if "execution_time" in layer else None,
        layer.get("execution_cycles"),
    )
