"""Rounds the layers that one activation feeds: the statistics that they share are computed once."""

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
from qnn_sd.quantize.encodings import Integers
from qnn_sd.quantize.graph import FloatGraph

SEED = 20
# Input columns for each weight of an output channel: with fewer the optimum fits the columns and not the layer. The
# time that a Gram matrix takes grows with their number, so a wide layer gets fewer where these are enough columns.
_ROWS_PER_INPUT, _FEW_ROWS_PER_INPUT, _ENOUGH_ROWS = 12, 2, 32768
# Of a held-out sample: a mean over so many is known to a few per cent, which is nothing in dB.
_HELD_OUT_ROWS = 512
# Below this share of the weights' power, nearest rounding errs by float32's own noise: there is nothing to gain.
_EXACT = 1e-12

# An activation as quantized and as it would be in float, for each sample in turn.
Pairs = Iterable[tuple[Floats, Floats]]


@dataclass(frozen=True)
class RoundedLayer:
    """A layer after it was rounded.

    Attributes:
        integers: in its weight's shape; None if it stays rounded to nearest.
        report: what it gained.
    """

    integers: Integers | None
    report: LayerReport


@dataclass(frozen=True)
class UnroundedLayer:
    """A layer before it is rounded.

    Attributes:
        qdq: the layer in the QDQ graph.
        weight: [out, K] float32.
        nearest: its integers, rounded to nearest, [out, K] float32.
        scale: the channels' steps, [out] float32.
    """

    qdq: QuantizedLayer
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
    by_im2col: dict[Im2col, list[UnroundedLayer]] = {}
    for layer in layers:
        if not layer.is_exact:
            by_im2col.setdefault(im2col_of(layer.qdq.node, layer.qdq.weight.dims), []).append(layer)
    rounded: dict[str, RoundedLayer] = {}
    for count, (im2col, group) in enumerate(by_im2col.items()):
        inputs = _Inputs(im2col, group, data)
        inputs.gather(values(), [SEED, number, count])
        solver, held_out = inputs.solver(), inputs.held_out()
        for layer, input_error in zip(group, inputs.input_errors, strict=True):
            rounded[layer.qdq.name] = _round_layer(layer, solver, input_error, held_out)
    return [rounded.get(layer.qdq.name) or RoundedLayer(None, _exact_report(layer)) for layer in layers]


@dataclass(frozen=True)
class _HeldOut:
    """Input columns of held-out samples.

    Attributes:
        x: as the quantized graph feeds them, [rows, K].
        difference: what the float graph's have more, [rows, K].
    """

    x: Floats
    difference: Floats


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
        # The same columns are drawn of the quantized and of the float activation.
        rng, same_draw = np.random.default_rng(seed), np.random.default_rng(seed)
        for number, (value, exact) in enumerate(values):
            count = rows if number < samples else min(rows, _HELD_OUT_ROWS)
            x = input_columns(value, self._im2col, count, rng)
            difference = input_columns(exact, self._im2col, count, same_draw)
            difference -= x
            if number < samples:
                self._gram.add(x)
                for input_error in self.input_errors:
                    input_error.add(x, difference)
            else:
                self._held_out.append((x, difference))

    def solver(self) -> RoundingSolver:
        """For all of the layers. It takes over the Gram matrix: to be called once."""
        return RoundingSolver(self._gram.mean(), self._gram.rows, self._data.backend)

    def held_out(self) -> _HeldOut:
        """The held-out columns. It takes them over: to be called once."""
        x, difference = zip(*self._held_out, strict=True)
        self._held_out.clear()
        return _HeldOut(np.concatenate(x), np.concatenate(difference))


def _round_layer(
    layer: UnroundedLayer, solver: RoundingSolver, input_error: InputError, held_out: _HeldOut
) -> RoundedLayer:
    moment = input_error.mean()
    candidate = solver.round(layer.weight, layer.scale, layer.qdq.bits, solver.target(layer.weight, moment))
    input_error_held_out = held_out.difference @ layer.weight.T

    def powers(integers: NDArray[Any]) -> tuple[float, float]:
        """The error's on held-out data, and on the data that the layer was rounded on (``moments.py``)."""
        error = layer.error(integers)
        trained = input_error.power() - 2 * float((moment * error).sum(dtype=np.float64)) + solver.power(error)
        return error_power(error, held_out.x, input_error_held_out), max(0.0, trained)

    (before, trained_before), (after, trained_after) = powers(layer.nearest), powers(candidate)
    better = after < before
    report = LayerReport(
        layer.qdq.name,
        layer.qdq.node.op_type,
        len(layer.weight),
        layer.weight.shape[1],
        input_error.rows,
        len(held_out.x),
        gain_db(error_power(layer.weight, held_out.x + held_out.difference), before),
        gain_db(before, after),
        gain_db(trained_before, trained_after),
        float((candidate != layer.nearest).mean()) if better else 0.0,
        "adaround" if better else "nearest",
    )
    return RoundedLayer(layer.qdq.tensor(candidate) if better else None, report)


def _exact_report(layer: UnroundedLayer) -> LayerReport:
    return LayerReport.exact(layer.qdq.name, layer.qdq.node.op_type, *layer.weight.shape)
