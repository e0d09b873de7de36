"""Chooses every tensor's encoding from the activations' ranges and the constants' values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import QuantizeError
from qnn_sd.quantize.encodings.encoding import Encoding, asymmetric, per_channel, symmetric
from qnn_sd.quantize.graph.float_graph import FloatGraph
from qnn_sd.quantize.graph.op_rules import RANGE_MARGIN
from qnn_sd.quantize.graph.tensor_roles import Layer, TensorRoles
from qnn_sd.quantize.ranges.known import known_ranges
from qnn_sd.quantize.ranges.measured import Ranges
from qnn_sd.quantize.ranges.non_negative import non_negative_tensors

NO_RANGES: Ranges = MappingProxyType({})
# By how much the largest numbers of rows may differ that count as equal.
_ALIKE = 1e-5


@dataclass(frozen=True)
class Encodings:
    """The encodings of a float graph's tensors, by their names in it.

    Biases are missing: theirs follows from the input's and the weight's (``encodings.bias``).

    Attributes:
        activations: of every float activation.
        parameters: of every weight and every float constant that is data.
        operands: of activations as second operand of a product, where that isn't int16 (``attention_operands.py``).
    """

    activations: Mapping[str, Encoding]
    parameters: Mapping[str, Encoding]
    operands: Mapping[str, Encoding] = field(default_factory=dict)

    def of(self, name: str) -> Encoding:
        """The encoding of an activation or a parameter."""
        return self.activations[name] if name in self.activations else self.parameters[name]


def encodings_from_ranges(
    graph: FloatGraph,
    ranges: Ranges,
    room: float = RANGE_MARGIN,
    inputs: Ranges = NO_RANGES,
    beyond: Ranges = NO_RANGES,
) -> Encodings:
    """W8A16: activations and values uint16, weights int8 with one scale per output channel.

    Args:
        graph: the float graph.
        ranges: smallest and largest value of every activation that owns its encoding.
        room: what ranges are widened by, where that is of use.
        inputs: what inputs may be, whatever was measured of them (``ranges.known``).
        beyond: ranges of rarer cases, which are covered as they are.

    Raises:
        QuantizeError: a constant that isn't finite.
    """
    roles = graph.roles
    parameters = {name: choose_value(graph, name) for name in roles.values}
    activations: dict[str, Encoding] = {}
    known = {**roles.known, **known_ranges(graph, inputs)}
    positive = non_negative_tensors(graph)
    for name in roles.floats:
        owner = roles.owner(name)
        if owner == name:
            activations[name] = asymmetric(
                *(known.get(name) or _widened(name, ranges, beyond, room, roles, name in positive))
            )
        else:
            activations[name] = activations[owner] if owner in activations else parameters[owner]
    chosen = Encodings(activations, parameters)
    least: dict[str, NDArray[np.float64]] = {}
    for layer in roles.layers.values():
        if layer.bias:
            needed = _least_scale(graph, layer, chosen.of(layer.input))
            least[layer.weight] = np.maximum(least.get(layer.weight, 0), needed)
    for name, axis in roles.weights.items():
        parameters[name] = per_channel(_finite(name, graph.array(name)), axis, least.get(name))
    return chosen


def _widened(
    name: str, ranges: Ranges, beyond: Ranges, room: float, roles: TensorRoles, non_negative_tensors: bool
) -> tuple[float, float]:
    found = ranges[name]
    rare = beyond.get(name, found)
    if name in roles.affine_chains:
        return min(found[0], rare[0]), max(found[1], rare[1])
    if name in roles.squares:
        room *= room  # what is twice as large has four times its square
    low, high = room * found[0], room * found[1]
    one_sided = not found[0] < 0 < found[1]
    if one_sided and not non_negative_tensors:
        # Zero is no border, but for those that can't cross it: the end beside it gets its share of room, too.
        margin = (room - 1) * (found[1] - found[0])
        low, high = min(low, found[0] - margin), max(high, found[1] + margin)
    low, high = min(low, rare[0]), max(high, rare[1])
    if not one_sided:
        # Which side is the longer may be chance: a channel's mean, say, is one number an image.
        low, high = -max(-low, high), max(-low, high)
    return low, min(high, 1.0) if name in roles.softmax_outputs else high


def choose_value(graph: FloatGraph, name: str) -> Encoding:
    """The encoding of a constant that is data like an activation: uint16 from its smallest to its largest value.

    A table whose rows all reach equally far has int8: no row is small beside the steps. A LayerNormalization's gamma
    that is one number, beta being zero, as where the layers that follow have taken both in, has uint8, which is exact.

    Raises:
        QuantizeError: it isn't finite.
    """
    values = _finite(name, graph.array(name))
    if name in graph.roles.tables and values.shape[1] > 1:
        reaches = np.maximum(values.max(axis=1), -values.min(axis=1))
        reaches = reaches[reaches > 0]
        if np.ptp(reaches) <= _ALIKE * reaches.max(initial=0):
            return symmetric(float(reaches.max(initial=0)), 8)
    bits = 8 if name in graph.roles.gammas and _is_plain(values, graph.array(graph.roles.gammas[name])) else 16
    return asymmetric(float(values.min(initial=0)), float(values.max(initial=0)), bits)


def _is_plain(gamma: NDArray[Any], beta: NDArray[Any]) -> bool:
    """Whether a norm over the last axis has one positive factor for all its channels and adds nothing."""
    return bool(gamma.ndim == 1 and gamma.size > 1 and np.ptp(gamma) == 0 and gamma[0] > 0 and not beta.any())


def _least_scale(graph: FloatGraph, layer: Layer, source: Encoding) -> NDArray[np.float64]:
    """[channels] the smallest weight scales with which a layer's int32 bias doesn't saturate.

    The bias counts in steps of input scale times weight scale, so a channel of almost nothing but
    bias needs a weight scale above its weights' own.
    """
    bias = np.abs(_finite(layer.bias, graph.array(layer.bias)).astype(np.float64)).reshape(-1)
    return np.asarray(bias / (float(source.scale) * 2**30), np.float64)


def _finite(name: str, values: NDArray[Any]) -> NDArray[Any]:
    # Extremes alone: NaN and infinity show in them, and no mask as large as the tensor is needed.
    if values.size and not np.isfinite([values.min(), values.max()]).all():
        raise QuantizeError(
            f"The constant {name} holds NaN or infinity",
            hint="Is the checkpoint sound? Try it with --target cpu --precision float.",
        )
    return values
