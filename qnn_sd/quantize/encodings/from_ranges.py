"""Chooses every tensor's encoding from the activations' ranges and the constants' values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import QuantizeError
from qnn_sd.quantize.encodings.encoding import Encoding, Encodings, asymmetric, per_channel, symmetric
from qnn_sd.quantize.encodings.scheme import DEFAULT_SCHEME, QuantizationScheme
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.ranges import (
    NO_RANGES,
    RANGE_MARGIN,
    Ranges,
    known_ranges,
    non_negative_tensors,
    with_margin,
)

# By what share the largest numbers of rows may differ that count as equal.
_EQUAL_REACH = 1e-5


def encodings_from_ranges(
    graph: FloatGraph,
    ranges: Ranges,
    margin: float = RANGE_MARGIN,
    input_ranges: Ranges = NO_RANGES,
    other_guidance_ranges: Ranges = NO_RANGES,
    scheme: QuantizationScheme = DEFAULT_SCHEME,
) -> Encodings:
    """Unsigned encodings of activations and values, signed ones of weights with one scale per output channel.

    Args:
        graph: the float graph.
        ranges: smallest and largest value of every activation that owns its encoding.
        margin: what ranges are multiplied by, where that is of use.
        input_ranges: what inputs may be, whatever was measured of them (``ranges.known``).
        other_guidance_ranges: ranges at other guidance scales, which are covered without a margin.
        scheme: the bit widths.

    Raises:
        QuantizeError: a constant that isn't finite, or a pattern of the scheme that no weight matches.
    """
    roles = graph.roles
    bits = scheme.bits_by_weight(roles.weights)
    parameters = {name: choose_value(graph, name) for name in roles.values}
    activations: dict[str, Encoding] = {}
    known = {**roles.known, **known_ranges(graph, input_ranges)}
    non_negative = non_negative_tensors(graph)
    for name in roles.floats:
        owner = roles.encoding_owner(name)
        if owner != name:
            activations[name] = activations[owner] if owner in activations else parameters[owner]
            continue
        covered = known.get(name) or with_margin(
            name, ranges, other_guidance_ranges, margin, roles, name in non_negative
        )
        activations[name] = asymmetric(*covered, scheme.activation_bits)
    chosen = Encodings(activations, parameters)
    smallest_scales = _smallest_scales(graph, chosen)
    for name, axis in roles.weights.items():
        parameters[name] = per_channel(_finite(name, graph.array(name)), axis, smallest_scales.get(name), bits[name])
    return chosen


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
        if np.ptp(reaches) <= _EQUAL_REACH * reaches.max(initial=0):
            return symmetric(float(reaches.max(initial=0)), 8)
    bits = 8 if name in graph.roles.gammas and _is_plain_factor(values, graph.array(graph.roles.gammas[name])) else 16
    return asymmetric(float(values.min(initial=0)), float(values.max(initial=0)), bits)


def _is_plain_factor(gamma: NDArray[Any], beta: NDArray[Any]) -> bool:
    """Whether a norm over the last axis has one positive factor for all its channels and adds nothing."""
    return bool(gamma.ndim == 1 and gamma.size > 1 and np.ptp(gamma) == 0 and gamma[0] > 0 and not beta.any())


def _smallest_scales(graph: FloatGraph, chosen: Encodings) -> dict[str, NDArray[np.float64]]:
    """[channels] by weight: the smallest scales with which no int32 bias of its layers saturates.

    A bias counts in steps of input scale times weight scale, so a channel of almost nothing but
    bias needs a weight scale above its weights' own.
    """
    found: dict[str, NDArray[np.float64]] = {}
    for layer in graph.roles.layers.values():
        if layer.bias:
            bias = np.abs(_finite(layer.bias, graph.array(layer.bias)).astype(np.float64)).reshape(-1)
            needed = np.asarray(bias / (float(chosen.of(layer.input).scale) * 2**30), np.float64)
            found[layer.weight] = np.maximum(found.get(layer.weight, 0), needed)
    return found


def _finite(name: str, values: NDArray[Any]) -> NDArray[Any]:
    # Extremes alone: NaN and infinity show in them, and no mask as large as the tensor is needed.
    if values.size and not np.isfinite([values.min(), values.max()]).all():
        raise QuantizeError(
            f"The constant {name} holds NaN or infinity",
            hint="Is the checkpoint sound? Try it with --target cpu --precision float.",
        )
    return values
