"""Quantizes one component."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.output_files import written_aside
from qnn_sd.quantize.adaround import RoundingData, round_layers
from qnn_sd.quantize.adaround.report import REPORT_FILE, summary, write_report
from qnn_sd.quantize.encodings.aimet_format import write_1_0_0, write_2_0_0
from qnn_sd.quantize.encodings.attention_operands import select_int8_operands, with_int8_operands
from qnn_sd.quantize.encodings.from_file import encodings_from_file
from qnn_sd.quantize.encodings.from_ranges import NO_RANGES, Encodings, encodings_from_ranges
from qnn_sd.quantize.graph.float_graph import FloatGraph
from qnn_sd.quantize.qdq_writer import QdqWriter
from qnn_sd.quantize.ranges.measured import Ranges, measure
from qnn_sd.quantize.ranges.stand_in import stand_in_ranges
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
    inputs: Ranges = NO_RANGES,
    rare: Iterable[Feeds] = (),
    int8_operands: bool = False,
) -> dict[str, Any]:
    """Writes a component's W8A16 QDQ graph, weights rounded to nearest, and its encodings to ``folder``.

    Args:
        source: folder of the float model.
        samples: calibration feeds by input name, shapes and dtypes as the graph's inputs.
        folder: existing empty folder.
        each: called after each sample.
        encodings: a file in AIMET's format whose encodings are taken instead of measured ones; the
            samples aren't looked at then.
        inputs: what inputs may be, whatever the samples hold (``ranges.known``).
        rare: further samples, from settings that few people use: covered, but with no margin.
        int8_operands: whether keys and values of many keys get 8 bits with nothing to judge it by; else they keep 16.

    Returns:
        Facts for the manifest.

    Raises:
        QuantizeError: no samples, an activation that isn't finite, an op that no rule covers, or
            encodings that don't fit the graph.
    """
    graph = FloatGraph(source)
    if encodings is None:
        usual, beyond = _measure_both(source, samples, rare, each)
        chosen = encodings_from_ranges(graph, usual, inputs=inputs, beyond=beyond)
        if int8_operands:
            chosen = with_int8_operands(graph, chosen, usual, beyond)
        return _write(graph, chosen, folder)
    return _write(graph, encodings_from_file(graph, encodings), folder)


def quantize_by_adaround(
    source: Path,
    samples: Iterable[Feeds],
    folder: Path,
    rounding: RoundingData,
    each: Callable[[], None],
    inputs: Ranges = NO_RANGES,
    rare: Iterable[Feeds] = (),
) -> dict[str, Any]:
    """The same with weights rounded by AdaRound, and ``rounding.json``, what each layer gained by it.

    Args:
        source: folder of the float model.
        samples: calibration feeds, to measure ranges on.
        folder: existing folder; it holds ``rounding.work`` at most.
        rounding: what to round on; its folder of work is removed at the end.
        each: called after each sample whose ranges were measured.
        inputs: what inputs may be, whatever the samples hold (``ranges.known``).
        rare: further samples, from settings that few people use: covered, but with no margin.

    Returns:
        Facts for the manifest.

    Raises:
        QuantizeError: no samples, an activation that isn't finite, or an op that no rule covers.
    """
    graph = FloatGraph(source)
    usual, beyond = _measured_once(source, samples, rare, rounding.work, each)
    chosen = with_int8_operands(graph, encodings_from_ranges(graph, usual, inputs=inputs, beyond=beyond), usual, beyond)
    nearest = rounding.work / "nearest"
    shutil.rmtree(nearest, ignore_errors=True)  # a run that was cut off may have left half of it
    nearest.mkdir()
    QdqWriter(graph, chosen, nearest).write()
    rounded, reports = round_layers(graph, nearest, rounding)
    write_report(folder / REPORT_FILE, reports)
    narrowed = select_int8_operands(graph, chosen, rounded, rounding.held_out, rounding.work, rounding.judged)
    metadata = {**_write(graph, narrowed.encodings, folder, rounded), "rounding": summary(reports)}
    shutil.rmtree(rounding.work)
    return {**metadata, **narrowed.metadata, "rounded_with": rounding.backend.title}


def _measure_both(
    source: Path, samples: Iterable[Feeds], rare: Iterable[Feeds], each: Callable[[], None]
) -> tuple[Ranges, Ranges]:
    """Ranges of the usual samples, and of the rare ones; none where there are no such."""
    rest = iter(rare)
    first = next(rest, None)
    usual = measure(source, samples, each)
    return usual, NO_RANGES if first is None else measure(source, itertools.chain([first], rest), each)


def _measured_once(
    source: Path, samples: Iterable[Feeds], rare: Iterable[Feeds], work: Path, each: Callable[[], None]
) -> tuple[Ranges, Ranges]:
    """Ranges, kept for a run that goes on where this one is cut off: at full size they take minutes."""
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "ranges.json"
    # A disk can lose what was written before the power went; what is no table of ranges is measured anew.
    with suppress(FileNotFoundError, ValueError, TypeError, AttributeError):
        usual, beyond = (
            {name: (low, high) for name, (low, high) in ranges.items()}
            for ranges in json.loads(kept.read_text("utf-8"))
        )
        return usual, beyond
    measured = _measure_both(source, samples, rare, each)
    with written_aside(kept) as aside:
        aside.write_text(json.dumps([dict(ranges) for ranges in measured]), "utf-8")
    return measured


def quantize_with_stand_ins(source: Path, folder: Path) -> dict[str, Any]:
    """Writes a QDQ graph from the float graph alone, to see what it costs on the HTP, not what it generates.

    Args:
        source: folder of the float model.
        folder: existing empty folder.

    Returns:
        Facts for the manifest.

    Raises:
        QuantizeError: an op that no rule covers, a weight that isn't finite.
    """
    graph = FloatGraph(source)
    ranges = stand_in_ranges(graph.model)
    return _write(graph, with_int8_operands(graph, encodings_from_ranges(graph, ranges), ranges, NO_RANGES), folder)


def _write(
    graph: FloatGraph, encodings: Encodings, folder: Path, rounded: Mapping[str, NDArray[np.int8]] | None = None
) -> dict[str, Any]:
    QdqWriter(graph, encodings, folder, rounded or {}).write()
    write_1_0_0(folder / ENCODINGS_1_0_0, encodings.activations, encodings.parameters)
    write_2_0_0(folder / ENCODINGS_2_0_0, encodings.activations, encodings.parameters)
    return {"activations": len(encodings.activations), "parameters": len(encodings.parameters)}
