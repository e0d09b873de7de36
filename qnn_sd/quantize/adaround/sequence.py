"""Rounds the layers of a QDQ graph one after the other, each on the inputs that the rounded layers before feed it."""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from qnn_sd.onnx_files import load_structure
from qnn_sd.output_files import written_aside
from qnn_sd.quantize.adaround.group import RoundedLayer, UnroundedLayer, round_group
from qnn_sd.quantize.adaround.layers import by_source, quantized_layers
from qnn_sd.quantize.adaround.paired_run import Activation, PairedRun
from qnn_sd.quantize.adaround.report import LayerReport
from qnn_sd.quantize.adaround.rounding_data import RoundingData
from qnn_sd.quantize.encodings import Integers
from qnn_sd.quantize.graph import FloatGraph


def round_layers(graph: FloatGraph, folder: Path, data: RoundingData) -> tuple[dict[str, Integers], list[LayerReport]]:
    """Rounds every layer with a weight of its own.

    Args:
        graph: the float graph.
        folder: of its QDQ graph, rounded to nearest.
        data: what to round on.

    Returns:
        The integers of the weights that aren't rounded to nearest, by the weight's name in the float graph, in the
        weight's shape; and a report of each layer, in the order of the graph.
    """
    groups = by_source(quantized_layers(load_structure(folder)))
    total = sum(map(len, groups.values()))
    weights: dict[str, Integers] = {}
    rounded: dict[str, Integers] = {}
    reports: list[LayerReport] = []
    pieces = data.work / "pieces"
    shutil.rmtree(pieces, ignore_errors=True)  # of a run that was cut off
    pieces.mkdir(parents=True)
    paired_run = PairedRun(graph, folder, [*data.samples, *data.held_out], weights, pieces)
    for number, (source, layers) in enumerate(groups.items()):
        activation = Activation(source, graph.roles.layers[layers[0].name].input)
        stored = data.work / f"group-{number:05}.npz"
        results = _load(stored)
        if results is None:
            unrounded = [UnroundedLayer.of(layer, graph, folder) for layer in layers]
            results = round_group(unrounded, partial(paired_run.values, activation), data, number)
            _save(stored, results)
        elif any(result.report.gain_db is not None for result in results):
            paired_run.skip(activation)
        for layer, result in zip(layers, results, strict=True):
            if result.integers is not None:
                weights[layer.weight.name] = result.integers
                rounded[graph.roles.layers[layer.name].weight] = result.integers
            reports.append(result.report)
            data.on_layer(len(reports), total)
    paired_run.close()
    shutil.rmtree(pieces)
    return rounded, reports


def _save(path: Path, results: Sequence[RoundedLayer]) -> None:
    arrays = {str(number): result.integers for number, result in enumerate(results) if result.integers is not None}
    text = json.dumps([asdict(result.report) for result in results])
    with written_aside(path) as partial_file, partial_file.open("wb") as file:
        np.savez(file, allow_pickle=False, reports=np.frombuffer(text.encode(), np.uint8), **arrays)


def _load(path: Path) -> list[RoundedLayer] | None:
    """The results of a group; None if there are none yet, or if they can't be read any more."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            reports = [LayerReport(**row) for row in json.loads(stored["reports"].tobytes())]
            return [
                RoundedLayer(stored[str(number)] if str(number) in stored.files else None, report)
                for number, report in enumerate(reports)
            ]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        # A power failure can damage a file that was renamed already; to round the group again costs seconds.
        return None
