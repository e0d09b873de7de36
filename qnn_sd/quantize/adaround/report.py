"""What rounding gained, layer by layer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

REPORT_FILE = "rounding.json"


@dataclass(frozen=True)
class LayerReport:
    """What became of one layer.

    Attributes:
        layer: its name in the float graph.
        op: Conv, Gemm or MatMul.
        outputs: output channels.
        inputs: K, weights per output channel.
        rows: input columns that it was rounded on.
        held_out_rows: input columns of held-out data that it was measured on.
        nearest_db: signal to error of the layer's output on held-out data with rounding to nearest, dB. The error is
            what its output is from the float model's, so that of the layers before it, rounded already, counts.
        gain_db: how much less it errs there as rounded by AdaRound, dB; None where nearest errs nothing.
        training_gain_db: the same on the data that it was rounded on.
        changed: share of weights that nearest rounds otherwise.
        kept: ``adaround``, or ``nearest`` where that is as good on held-out data, or exact.
    """

    layer: str
    op: str
    outputs: int
    inputs: int
    rows: int
    held_out_rows: int
    nearest_db: float | None
    gain_db: float | None
    training_gain_db: float | None
    changed: float
    kept: str

    @classmethod
    def exact(cls, layer: str, op: str, outputs: int, inputs: int) -> LayerReport:
        """A layer whose weights nearest doesn't change, such as a mean's."""
        return cls(layer, op, outputs, inputs, 0, 0, None, None, None, 0.0, "nearest")


def write_report(path: Path, reports: list[LayerReport]) -> None:
    """Writes the report as JSON: a summary, then a row per layer."""
    document = {"summary": summary(reports), "layers": [asdict(report) for report in reports]}
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def summary(reports: list[LayerReport]) -> dict[str, Any]:
    """Counts of layers, and the median gain of those that nearest doesn't round exactly."""
    gains = [report.gain_db for report in reports if report.gain_db is not None]
    return {
        "layers": len(reports),
        "exact": len(reports) - len(gains),
        "adaround": sum(report.kept == "adaround" for report in reports),
        "nearest": len(gains) - sum(report.kept == "adaround" for report in reports),
        "median_gain_db": round(median(gains), 2) if gains else None,
    }
