"""Rounds the layers of a QDQ graph one after the other, each on the inputs that the ones before will feed it."""

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
from numpy.typing import NDArray

from qnn_sd.onnx_files import load_structure
from qnn_sd.output_files import written_aside
from qnn_sd.quantize.adaround.group import RoundedLayer, UnroundedLayer, round_group
from qnn_sd.quantize.adaround.layers import by_source, quantized_layers
from qnn_sd.quantize.adaround.paired_run import Activation, PairedRun
from qnn_sd.quantize.adaround.report import LayerReport
from qnn_sd.quantize.adaround.rounding_data import RoundingData
from qnn_sd.quantize.graph.float_graph import FloatGraph


def round_layers(
    graph: FloatGraph, folder: Path, data: RoundingData
) -> tuple[dict[str, NDArray[np.int8]], list[LayerReport]]:
    """Rounds every layer with a weight of its own.

    Args:
        graph: the float graph.
        folder: of its QDQ graph, rounded to nearest.
        data: what to round on.

    Returns:
        The integers of the weights that aren't rounded to nearest, by the weight's name in the float graph, in the
        weight's shape; and what became of each layer, in the order of the graph.
    """
    groups = by_source(quantized_layers(load_structure(folder)))
    total = sum(map(len, groups.values()))
    weights: dict[str, NDArray[np.int8]] = {}
    rounded: dict[str, NDArray[np.int8]] = {}
    reports: list[LayerReport] = []
    pieces = data.work / "pieces"
    shutil.rmtree(pieces, ignore_errors=True)  # of a run that was cut off
    pieces.mkdir(parents=True)
    passes = PairedRun(graph, folder, [*data.samples, *data.held_out], weights, pieces)
    for number, (source, layers) in enumerate(groups.items()):
        activation = Activation(source, graph.roles.layers[layers[0].name].input)
        done = data.work / f"group-{number:05}.npz"
        made = _load(done)
        if made is None:
            unrounded = [UnroundedLayer.of(layer, graph, folder) for layer in layers]
            made = round_group(unrounded, partial(passes.values, activation), data, number)
            _save(done, made)
        elif any(report.gain_db is not None for _, report in made):
            passes.skip(activation)
        for layer, (integers, report) in zip(layers, made, strict=True):
            if integers is not None:
                weights[layer.weight.name] = integers
                rounded[graph.roles.layers[layer.name].weight] = integers
            reports.append(report)
            data.each(len(reports), total)
    passes.close()
    shutil.rmtree(pieces)
    return rounded, reports


def _save(path: Path, made: Sequence[RoundedLayer]) -> None:
    arrays = {str(number): integers for number, (integers, _) in enumerate(made) if integers is not None}
    text = json.dumps([asdict(report) for _, report in made])
    with written_aside(path) as aside, aside.open("wb") as file:
        np.savez(file, allow_pickle=False, reports=np.frombuffer(text.encode(), np.uint8), **arrays)


def _load(path: Path) -> list[RoundedLayer] | None:
    """What a group became; None if that isn't known yet, or can't be read any more."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            reports = [LayerReport(**row) for row in json.loads(stored["reports"].tobytes())]
            return [
                (stored[str(number)] if str(number) in stored.files else None, report)
                for number, report in enumerate(reports)
            ]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        # A disk can lose what was written before the power went; to round the group again costs seconds.
        return None
