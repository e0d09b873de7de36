"""Rounds the layers of a QDQ graph one after the other, each on the inputs that the ones before will feed it."""

from __future__ import annotations

import json
import math
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.artifact import written_aside
from qnn_sd.onnx_files import load_structure, read_array
from qnn_sd.quantize.adaround.backend import NUMPY, Backend
from qnn_sd.quantize.adaround.gram import Gram, Window, columns, error_power, gain_db, window_of
from qnn_sd.quantize.adaround.layers import QuantizedLayer, by_source, quantized_layers
from qnn_sd.quantize.adaround.report import LayerReport
from qnn_sd.quantize.adaround.segments import SegmentRunner
from qnn_sd.quantize.adaround.solver import Floats, Rounder
from qnn_sd.quantize.float_graph import FloatGraph
from qnn_sd.runner import Feeds

SEED = 20
# Input columns for each weight of an output channel: with fewer the optimum fits the columns and not the layer. The
# time that a Gram matrix takes grows with their number, so a wide layer gets fewer where these are enough columns.
_ROWS_PER_INPUT, _FEW_ROWS_PER_INPUT, _ENOUGH_ROWS = 12, 2, 32768
# Of a held-out sample: a mean over so many is known to a few per cent, which is nothing in dB.
_HELD_OUT_ROWS = 512
# Below this share of the weights' power, nearest rounding errs by float32's own noise: there is nothing to gain.
_EXACT = 1e-12


@dataclass(frozen=True)
class RoundingData:
    """What layers are rounded on.

    Attributes:
        samples: feeds of the graph by input name, recorded along trajectories of the float model.
        held_out: others, of other prompts, that only judge.
        work: a folder that survives an interrupted run: what it holds of the same run is used again.
        each: called after each layer with the layers done and how many there are.
        backend: where matrices are computed.
    """

    samples: Sequence[Feeds]
    held_out: Sequence[Feeds]
    work: Path
    each: Callable[[int, int], None] = lambda _done, _all: None
    backend: Backend = NUMPY


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
    runner = SegmentRunner(folder, [*data.samples, *data.held_out], weights, pieces)
    for number, (source, layers) in enumerate(groups.items()):
        done = data.work / f"group-{number:05}.npz"
        made = _load(done)
        if made is None:
            made = _round_group(graph, folder, runner, source, layers, data, number)
            _save(done, made)
        for layer, (integers, report) in zip(layers, made, strict=True):
            if integers is not None:
                weights[layer.weight.name] = integers
                rounded[graph.roles.layers[layer.name].weight] = integers
            reports.append(report)
            data.each(len(reports), total)
    runner.close()
    pieces.rmdir()
    return rounded, reports


_Made = tuple[NDArray[np.int8] | None, LayerReport]


@dataclass(frozen=True)
class _Judged:
    """What the layers behind one window of an input are rounded by, and what judges them."""

    rounder: Rounder
    rows: int
    held_out: Floats


def _round_group(
    graph: FloatGraph,
    folder: Path,
    runner: SegmentRunner,
    source: str,
    layers: Sequence[QuantizedLayer],
    data: RoundingData,
    number: int,
) -> list[_Made]:
    """Rounds the layers that one activation feeds; where nearest is exact for all of them, it isn't looked at."""
    windows: dict[Window, _Judged] = {}
    made: list[_Made] = []
    for layer in layers:
        weight = layer.matrix(graph.array(graph.roles.layers[layer.name].weight)).astype(np.float32, copy=False)
        nearest = layer.matrix(read_array(layer.weight, folder)).astype(np.float32)
        scale = np.broadcast_to(read_array(layer.scale, folder), len(weight)).astype(np.float32)
        if np.square(nearest * scale[:, None] - weight).sum() <= _EXACT * np.square(weight).sum():
            made.append((None, LayerReport.exact(layer.name, layer.node.op_type, *weight.shape)))
            continue
        window = window_of(layer.node, layer.weight.dims)
        if window not in windows:
            runner.reach(source)
            rng = np.random.default_rng([SEED, number, len(windows)])
            windows[window] = _gather(runner.values(source), window, weight.shape[1], data, rng)
        made.append(_round_layer(layer, weight, nearest, scale, windows[window]))
    return made


def _gather(
    values: Iterable[NDArray[np.float32]], window: Window, size: int, data: RoundingData, rng: np.random.Generator
) -> _Judged:
    """The second moments over the samples, and columns of the held-out ones that come after them."""
    wanted = min(_ROWS_PER_INPUT * size, max(_FEW_ROWS_PER_INPUT * size, _ENOUGH_ROWS))
    samples = len(data.samples)
    rows = math.ceil(wanted / samples)
    gram, held_out = Gram(size, data.backend), []
    for number, value in enumerate(values):
        if number < samples:
            gram.add(columns(value, window, rows, rng))
        else:
            held_out.append(columns(value, window, min(rows, _HELD_OUT_ROWS), rng))
    return _Judged(Rounder(gram.mean(), gram.rows, data.backend), gram.rows, np.concatenate(held_out))


def _round_layer(layer: QuantizedLayer, weight: Floats, nearest: Floats, scale: Floats, by: _Judged) -> _Made:
    candidate = by.rounder.round(weight, scale)

    def powers(integers: NDArray[Any]) -> tuple[float, float]:
        error = integers * scale[:, None] - weight
        return error_power(error, by.held_out), by.rounder.power(error)

    (before, trained_before), (after, trained_after) = powers(nearest), powers(candidate)
    kept = after < before
    report = LayerReport(
        layer.name,
        layer.node.op_type,
        len(weight),
        weight.shape[1],
        by.rows,
        len(by.held_out),
        gain_db(error_power(weight, by.held_out), before),
        gain_db(before, after),
        gain_db(trained_before, trained_after),
        float((candidate != nearest).mean()) if kept else 0.0,
        "adaround" if kept else "nearest",
    )
    return layer.tensor(candidate) if kept else None, report


def _save(path: Path, made: Sequence[_Made]) -> None:
    arrays = {str(number): integers for number, (integers, _) in enumerate(made) if integers is not None}
    text = json.dumps([asdict(report) for _, report in made])
    with written_aside(path) as aside, aside.open("wb") as file:
        np.savez(file, allow_pickle=False, reports=np.frombuffer(text.encode(), np.uint8), **arrays)


def _load(path: Path) -> list[_Made] | None:
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
