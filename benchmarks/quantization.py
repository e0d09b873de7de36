"""What margin for ranges and what rounding are worth: the demo model's QDQ graphs against float, on held-out data.

    python benchmarks/quantization.py

Held-out data is of other prompts and other noise than calibration. A row is a component quantized in
one way; the figures are SQNR in dB, over all samples and of the worst one. Seeds are the model
config's. Takes some minutes; recorded data and AdaRound's result come from the cache if they are there.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from held_out import outputs, sqnr_of_all_and_worst
from measured import measured

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.quantize.adaround.report import REPORT_FILE
from qnn_sd.quantize.qdq_writer import QdqWriter
from qnn_sd.quantize.ranges import RANGE_MARGIN

MARGINS = (1.0, 1.1, 1.25, 1.5, 2.0, 4.0)


def row(name: str, expected: np.ndarray, found: np.ndarray) -> None:
    overall, worst = sqnr_of_all_and_worst(expected, found)
    print(f"{name:<44}{overall:>10.1f}{worst:>10.1f}", flush=True)


def main() -> None:
    pipeline = BuildPipeline(load_model("tiny-sd"), Console())
    for component in TEXT_TO_IMAGE_COMPONENTS:
        source = pipeline.export(component).folder
        judging = list(pipeline.samples(pipeline.held_out(), component))
        expected = outputs(source, judging)
        ranges = measured(pipeline, component)
        print(f"{component}: {len(ranges.samples)} samples, {len(judging)} held out{'all':>20}{'worst':>10}")
        for margin in MARGINS:
            with tempfile.TemporaryDirectory() as scratch:
                QdqWriter(ranges.graph, ranges.encodings(margin), Path(scratch)).write()
                row(f"nearest, margin {margin:g}", expected, outputs(Path(scratch), judging))
        made = pipeline.quantize(component)
        row(f"adaround, margin {RANGE_MARGIN:g}", expected, outputs(made.folder, judging))
        report = json.loads(made.file(REPORT_FILE).read_text("utf-8"))
        gains = [each["gain_db"] for each in report["layers"] if each["gain_db"] is not None]
        better = sum(gain > 0 for gain in gains)
        print(f"  layers better than nearest: {better} of {len(gains)}, median {np.median(gains):.1f} dB", end="")
        print(f", least {min(gains):.1f} dB; quantized in {made.seconds:.0f} s")


if __name__ == "__main__":
    main()
