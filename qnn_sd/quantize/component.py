"""Quantizes one component."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.quantize.adaround import RoundingData, round_layers
from qnn_sd.quantize.adaround.report import REPORT_FILE, summary, write_report
from qnn_sd.quantize.aimet import write_1_0_0, write_2_0_0
from qnn_sd.quantize.choose import Encodings, choose_encodings
from qnn_sd.quantize.float_graph import FloatGraph
from qnn_sd.quantize.given import given_encodings
from qnn_sd.quantize.qdq import QdqWriter
from qnn_sd.quantize.ranges import measure
from qnn_sd.quantize.stand_in import stand_in_ranges
from qnn_sd.runner import Feeds

# AIMET's format in both of its versions: older tools take the first, newer ones either.
ENCODINGS_1_0_0 = "encodings.json"
ENCODINGS_2_0_0 = "encodings.2.0.0.json"


def quantize_component(
    source: Path,
    samples: Iterable[Feeds],
    folder: Path,
    each: Callable[[], None] = lambda: None,
    encodings: Path | None = None,
    rounding: RoundingData | None = None,
) -> dict[str, Any]:
    """Writes a component's W8A16 QDQ graph and its encodings to ``folder``.

    Args:
        source: folder of the float model.
        samples: calibration feeds by input name, shapes and dtypes as the graph's inputs.
        folder: existing empty folder.
        each: called after each sample.
        encodings: a file in AIMET's format whose encodings are taken instead of measured ones; the
            samples aren't looked at then.
        rounding: what AdaRound rounds weights on; None for rounding to nearest.

    Returns:
        Facts for the manifest.

    Raises:
        QuantizeError: no samples, an activation that isn't finite, an op that no rule covers, or
            encodings that don't fit the graph.
    """
    graph = FloatGraph(source)
    if encodings is None:
        chosen = choose_encodings(graph, measure(source, samples, each))
    else:
        chosen = given_encodings(graph, encodings)
    if rounding is None:
        return _write(graph, chosen, folder)
    nearest = rounding.work / "nearest"
    shutil.rmtree(nearest, ignore_errors=True)  # a run that was cut off may have left half of it
    nearest.mkdir(parents=True)
    QdqWriter(graph, chosen, nearest).write()
    rounded, reports = round_layers(graph, nearest, rounding)
    write_report(folder / REPORT_FILE, reports)
    facts = {**_write(graph, chosen, folder, rounded), "rounding": summary(reports)}
    shutil.rmtree(rounding.work)
    return facts


def quantize_with_stand_ins(source: Path, folder: Path) -> dict[str, Any]:
    """Writes a QDQ graph from the float graph alone, to see what it costs on the HTP, not what it paints.

    Args:
        source: folder of the float model.
        folder: existing empty folder.

    Returns:
        Facts for the manifest.

    Raises:
        QuantizeError: an op that no rule covers, a weight that isn't finite.
    """
    graph = FloatGraph(source)
    return _write(graph, choose_encodings(graph, stand_in_ranges(graph.model)), folder)


def _write(
    graph: FloatGraph, encodings: Encodings, folder: Path, rounded: Mapping[str, NDArray[np.int8]] | None = None
) -> dict[str, Any]:
    QdqWriter(graph, encodings, folder, rounded or {}).write()
    write_1_0_0(folder / ENCODINGS_1_0_0, encodings.activations, encodings.parameters)
    write_2_0_0(folder / ENCODINGS_2_0_0, encodings.activations, encodings.parameters)
    return {"activations": len(encodings.activations), "parameters": len(encodings.parameters)}
