"""The page's measurements: what devices of Qualcomm AI Hub took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qnn_sd.report.markup import paragraph, safe, table

_COLUMNS = ["component", "median, ms", "best, ms", "first load, ms", "peak memory, MB", "layers"]


def measured(report: Mapping[str, Any]) -> Iterator[str]:
    """A table for each device; nothing where none has measured."""
    for device in report["measured"]:
        rows = [_row(name, each) for name, each in device["components"].items()]
        yield table(_COLUMNS, rows, _caption(device), range(1, 5))
        yield paragraph(safe(_note(device)), "note")


def _caption(device: Mapping[str, Any]) -> str:
    whose = "Made up by a stand-in, no device was used" if device["stand_in"] else "Measured at Qualcomm AI Hub"
    return f"{device['name']}, system {device['os']}, {device['made_at'][:10]}. {whose}"


def _note(device: Mapping[str, Any]) -> str:
    seconds = device["image_seconds"]
    whole = "" if seconds is None else f" An image takes {seconds:.2f} s by them: computed, no image was made."
    return f"A call of each component with random inputs.{whole}"


def _row(name: str, each: Mapping[str, Any]) -> list[object]:
    load, peak = each["first_load_ms"], each["peak_memory_bytes"]
    return [
        name,
        f"{each['median_ms']:,.2f}",
        f"{each['best_ms']:,.2f}",
        "-" if load is None else f"{load:,.0f}",
        "-" if peak is None else f"{peak / 1e6:,.0f}",
        ", ".join(f"{count:,} {unit}" for unit, count in each["layers"].items()),
    ]
