"""Quantizes one component: ranges, then encodings, then the rounding of weights, then the files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from qnn_sd.quantize.adaround import RoundingData, round_layers
from qnn_sd.quantize.adaround.report import REPORT_FILE, LayerReport, summary, write_report
from qnn_sd.quantize.encodings import (
    DEFAULT_SCHEME,
    Encodings,
    Integers,
    QuantizationScheme,
    encodings_from_file,
    encodings_from_ranges,
    scheme_label,
    with_int8_operands,
    write_1_0_0,
    write_2_0_0,
)
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.operand_selection import select_int8_operands
from qnn_sd.quantize.qdq_writer import QdqWriter
from qnn_sd.quantize.ranges import (
    NO_RANGES,
    CalibratedRanges,
    Ranges,
    measure_calibration,
    measure_or_resume,
    stand_in_ranges,
)
from qnn_sd.quantize.weights_from import weights_from
from qnn_sd.runner import Feeds

# AIMET's format in both of its versions: older tools take the first, newer ones either.
ENCODINGS_1_0_0 = "encodings.json"
ENCODINGS_2_0_0 = "encodings.2.0.0.json"


def quantize_component(
    source: Path,
    samples: Iterable[Feeds],
    folder: Path,
    on_sample: Callable[[], None] = lambda: None,
    encodings: Path | None = None,
    input_ranges: Ranges = NO_RANGES,
    other_guidance_samples: Iterable[Feeds] = (),
    int8_operands: bool = False,
    scheme: QuantizationScheme = DEFAULT_SCHEME,
) -> dict[str, Any]:
    """Writes a component's QDQ graph, weights rounded to nearest, and its encodings to ``folder``.

    Args:
        source: folder of the float model.
        samples: calibration feeds by input name, shapes and dtypes as the graph's inputs.
        folder: existing empty folder.
        on_sample: called after each sample.
        encodings: a file in AIMET's format whose encodings are taken instead of measured ones; neither the
            samples nor the scheme are looked at then.
        input_ranges: what inputs may be, whatever the samples hold (``ranges.known``).
        other_guidance_samples: further samples, of other guidance scales: covered, but with no margin.
        int8_operands: whether keys and values of many keys get 8 bits though no held-out data judges it; else
            they keep 16.
        scheme: the bit widths.

    Returns:
        Metadata for the manifest.

    Raises:
        QuantizeError: no samples, an activation that isn't finite, an op that no rule covers, a pattern of the scheme
            that no weight matches, or encodings that don't fit the graph.
    """
    graph = FloatGraph(source)
    if encodings is not None:
        return _write(graph, encodings_from_file(graph, encodings), folder)
    ranges = measure_calibration(source, samples, other_guidance_samples, on_sample)
    return _write(graph, _choose(graph, ranges, input_ranges, int8_operands, scheme), folder)


def quantize_by_adaround(
    source: Path,
    samples: Iterable[Feeds],
    folder: Path,
    rounding: RoundingData,
    on_sample: Callable[[], None] = lambda: None,
    input_ranges: Ranges = NO_RANGES,
    other_guidance_samples: Iterable[Feeds] = (),
    scheme: QuantizationScheme = DEFAULT_SCHEME,
    weights: Path | None = None,
) -> dict[str, Any]:
    """The same with weights rounded by AdaRound, and ``rounding.json``, what each layer gained by it.

    Keys and values of many keys get 8 bits where held-out data allows it.

    Args:
        source: folder of the float model.
        samples: calibration feeds, to measure ranges on.
        folder: existing folder; it holds ``rounding.work`` at most.
        rounding: what to round on; its work folder is removed at the end.
        on_sample: called after each sample whose ranges were measured.
        input_ranges: what inputs may be, whatever the samples hold (``ranges.known``).
        other_guidance_samples: further samples, of other guidance scales: covered, but with no margin.
        scheme: the bit widths.
        weights: folder of the QDQ graph of another size, whose weights are taken as they were rounded there, so that
            a context binary can hold them once for both; nothing is rounded then.

    Returns:
        Metadata for the manifest.

    Raises:
        QuantizeError: no samples, an activation that isn't finite, an op that no rule covers, a pattern of the
            scheme that no weight matches, or another size's graph that has none of this one's weights.
    """
    graph = FloatGraph(source)
    ranges = measure_or_resume(source, samples, other_guidance_samples, rounding.work, on_sample)
    chosen = _choose(graph, ranges, input_ranges, int8_operands=True, scheme=scheme)
    if weights is None:
        rounded, reports = _rounded(graph, chosen, rounding)
        write_report(folder / REPORT_FILE, reports)
        how = {"rounding": summary(reports), "rounded_with": rounding.backend.title}
    else:
        rounded, how = weights_from(chosen, weights), {"weights": "of another size"}
    operands = select_int8_operands(graph, chosen, rounded, rounding.held_out, rounding.work, rounding.on_operand_run)
    metadata = _write(graph, operands.encodings, folder, rounded)
    shutil.rmtree(rounding.work)
    return {**metadata, **operands.metadata, **how}


def _rounded(
    graph: FloatGraph, encodings: Encodings, data: RoundingData
) -> tuple[dict[str, Integers], list[LayerReport]]:
    """AdaRound's integers, and what each layer gained."""
    nearest = data.work / "nearest"
    shutil.rmtree(nearest, ignore_errors=True)  # an interrupted run may have left half of it
    nearest.mkdir()
    QdqWriter(graph, encodings, nearest).write()
    return round_layers(graph, nearest, data)


def quantize_with_stand_ins(source: Path, folder: Path, scheme: QuantizationScheme = DEFAULT_SCHEME) -> dict[str, Any]:
    """Writes a QDQ graph from the float graph alone, to see what it costs on the HTP, not what it generates.

    Args:
        source: folder of the float model.
        folder: existing empty folder.
        scheme: the bit widths.

    Returns:
        Metadata for the manifest.

    Raises:
        QuantizeError: an op that no rule covers, a weight that isn't finite, or a pattern of the scheme that no weight
            matches.
    """
    graph = FloatGraph(source)
    ranges = CalibratedRanges(stand_in_ranges(graph.model))
    return _write(graph, _choose(graph, ranges, NO_RANGES, int8_operands=True, scheme=scheme), folder)


def _choose(
    graph: FloatGraph, ranges: CalibratedRanges, input_ranges: Ranges, int8_operands: bool, scheme: QuantizationScheme
) -> Encodings:
    """Every tensor's encoding, from its range or its values."""
    default, other = ranges.default_guidance, ranges.other_guidance
    chosen = encodings_from_ranges(
        graph, default, input_ranges=input_ranges, other_guidance_ranges=other, scheme=scheme
    )
    return with_int8_operands(graph, chosen, default, other) if int8_operands else chosen


def _write(
    graph: FloatGraph, encodings: Encodings, folder: Path, rounded: Mapping[str, Integers] | None = None
) -> dict[str, Any]:
    """Writes the QDQ graph and both files of encodings; returns metadata for the manifest."""
    QdqWriter(graph, encodings, folder, rounded).write()
    write_1_0_0(folder / ENCODINGS_1_0_0, encodings.activations, encodings.parameters)
    write_2_0_0(folder / ENCODINGS_2_0_0, encodings.activations, encodings.parameters)
    return {
        "scheme": scheme_label(encodings, graph.roles.weights),
        "activations": len(encodings.activations),
        "parameters": len(encodings.parameters),
    }
