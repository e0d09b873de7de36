"""Rounds the layers that one activation feeds: what they share is looked at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.onnx_files import read_array
from qnn_sd.quantize.adaround.im2col import Im2col, im2col_of, input_columns
from qnn_sd.quantize.adaround.layers import QuantizedLayer
from qnn_sd.quantize.adaround.moments import GramMatrix, InputError, error_power, gain_db
from qnn_sd.quantize.adaround.report import LayerReport
from qnn_sd.quantize.adaround.rounding_data import RoundingData
from qnn_sd.quantize.adaround.solver import Floats, RoundingSolver
from qnn_sd.quantize.graph.float_graph import FloatGraph

SEED = 20
# Input columns for each weight of an output channel: with fewer the optimum fits the columns and not the layer. The
# time that a Gram matrix takes grows with their number, so a wide layer gets fewer where these are enough columns.
_ROWS_PER_INPUT, _FEW_ROWS_PER_INPUT, _ENOUGH_ROWS = 12, 2, 32768
# Of a held-out sample: a mean over so many is known to a few per cent, which is nothing in dB.
_HELD_OUT_ROWS = 512
# Below this share of the weights' power, nearest rounding errs by float32's own noise: there is nothing to gain.
_EXACT = 1e-12

# The integers of a layer that isn't rounded to nearest, in its weight's shape, and its report.
RoundedLayer = tuple[NDArray[np.int8] | None, LayerReport]
# An activation as quantized and as it would be in float, for each sample in turn.
Pairs = Iterable[tuple[Floats, Floats]]


@dataclass(frozen=True)
class UnroundedLayer:
    """A layer before it is rounded.

    Attributes:
        layer: its place in the QDQ graph.
        weight: [out, K] float32.
        nearest: its integers, rounded to nearest, [out, K] float32.
        scale: the channels' steps, [out] float32.
    """

    layer: QuantizedLayer
    weight: Floats
    nearest: Floats
    scale: Floats

    @classmethod
    def of(cls, layer: QuantizedLayer, graph: FloatGraph, folder: Path) -> UnroundedLayer:
        """A layer of the float graph, and of its QDQ graph in ``folder``."""
        weight = layer.matrix(graph.array(graph.roles.layers[layer.name].weight)).astype(np.float32, copy=False)
        nearest = layer.matrix(read_array(layer.weight, folder)).astype(np.float32)
        scale = np.broadcast_to(read_array(layer.scale, folder), len(weight)).astype(np.float32)
        return cls(layer, weight, nearest, scale)

    def error(self, integers: NDArray[Any]) -> Floats:
        """Of the weights that these integers [out, K] stand for."""
        error: Floats = integers * self.scale[:, None] - self.weight
        return error

    @property
    def is_exact(self) -> bool:
        """Whether nearest changes nothing."""
        return bool(np.square(self.error(self.nearest)).sum() <= _EXACT * np.square(self.weight).sum())


def round_group(
    layers: Sequence[UnroundedLayer], values: Callable[[], Pairs], data: RoundingData, number: int
) -> list[RoundedLayer]:
    """Rounds the layers that one activation feeds.

    Args:
        layers: all of them.
        values: the activation, of the samples and then of the held-out ones; not asked for where all layers are exact.
        data: what to round on.
        number: the group's, to draw columns by.

    Returns:
        What each layer became.
    """
    im2cols: dict[Im2col, list[UnroundedLayer]] = {}
    for each in layers:
        if not each.is_exact:
            im2cols.setdefault(im2col_of(each.layer.node, each.layer.weight.dims), []).append(each)
    made: dict[str, RoundedLayer] = {}
    for count, (im2col, alike) in enumerate(im2cols.items()):
        inputs = _Inputs(im2col, alike, data)
        inputs.gather(values(), [SEED, number, count])
        rounder, judge = inputs.rounder(), inputs.held_out()
        made |= {
            each.layer.name: _round_layer(each, rounder, input_error, judge)
            for each, input_error in zip(alike, inputs.input_errors, strict=True)
        }
    return [made.get(each.layer.name) or (None, _unchanged(each)) for each in layers]


@dataclass(frozen=True)
class _HeldOut:
    """Input columns as the quantized graph feeds them, and what they lack to the float graph's: [rows, K] each."""

    x: Floats
    lacking: Floats


class _Inputs:
    """What goes into layers that read one activation with the same im2col.

    Args:
        im2col: how they read it.
        layers: all of them.
        data: what to round on.

    Attributes:
        input_errors: of each layer.
    """

    def __init__(self, im2col: Im2col, layers: Sequence[UnroundedLayer], data: RoundingData) -> None:
        self._im2col, self._data = im2col, data
        self._size = layers[0].weight.shape[1]
        self._gram = GramMatrix(self._size, data.backend)
        self.input_errors = [InputError(layer.weight, data.backend) for layer in layers]
        self._held_out: list[tuple[Floats, Floats]] = []

    def gather(self, values: Pairs, seed: Sequence[int]) -> None:
        """Takes the moments of the samples, and columns of the held-out ones that come after them."""
        wanted = min(_ROWS_PER_INPUT * self._size, max(_FEW_ROWS_PER_INPUT * self._size, _ENOUGH_ROWS))
        samples = len(self._data.samples)
        rows = math.ceil(wanted / samples)
        # The same columns are drawn of both.
        rng, again = np.random.default_rng(seed), np.random.default_rng(seed)
        for number, (value, exact) in enumerate(values):
            count = rows if number < samples else min(rows, _HELD_OUT_ROWS)
            x, lacking = (
                input_columns(value, self._im2col, count, rng),
                input_columns(exact, self._im2col, count, again),
            )
            lacking -= x
            if number < samples:
                self._gram.add(x)
                for input_error in self.input_errors:
                    input_error.add(x, lacking)
            else:
                self._held_out.append((x, lacking))

    def rounder(self) -> RoundingSolver:
        """For all of the layers; the Gram matrix is given up for it."""
        return RoundingSolver(self._gram.mean(), self._gram.rows, self._data.backend)

    def held_out(self) -> _HeldOut:
        """What judges them; it is given up for it."""
        x, lacking = zip(*self._held_out, strict=True)
        self._held_out.clear()
        return _HeldOut(np.concatenate(x), np.concatenate(lacking))


def _round_layer(
    each: UnroundedLayer, rounder: RoundingSolver, input_error: InputError, judge: _HeldOut
) -> RoundedLayer:
    moment = input_error.mean()
    candidate = rounder.round(each.weight, each.scale, rounder.target(each.weight, moment))
    lost = judge.lacking @ each.weight.T

    def powers(integers: NDArray[Any]) -> tuple[float, float]:
        error = each.error(integers)
        trained = input_error.power() - 2 * float((moment * error).sum(dtype=np.float64)) + rounder.power(error)
        return error_power(error, judge.x, lost), max(0.0, trained)

    (before, trained_before), (after, trained_after) = powers(each.nearest), powers(candidate)
    kept = after < before
    report = LayerReport(
        each.layer.name,
        each.layer.node.op_type,
        len(each.weight),
        each.weight.shape[1],
        input_error.rows,
        len(judge.x),
        gain_db(error_power(each.weight, judge.x + judge.lacking), before),
        gain_db(before, after),
        gain_db(trained_before, trained_after),
        float((candidate != each.nearest).mean()) if kept else 0.0,
        "adaround" if kept else "nearest",
    )
    return each.layer.tensor(candidate) if kept else None, report


def _unchanged(each: UnroundedLayer) -> LayerReport:
    return LayerReport.exact(each.layer.name, each.layer.node.op_type, *each.weight.shape)
