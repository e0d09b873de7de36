"""Encodings from a file in AIMET's format, checked against a float graph and what the HTP takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qnn_sd.errors import QuantizeError
from qnn_sd.quantize.encodings.aimet_format import Entry, read
from qnn_sd.quantize.encodings.encoding import Encoding, Encodings, bias, integer_limits
from qnn_sd.quantize.encodings.from_ranges import choose_value
from qnn_sd.quantize.encodings.scheme import WEIGHT_BITS
from qnn_sd.quantize.graph import FloatGraph, Layer

# How many tensors a message names.
_NAMED = 5
_NORMS = frozenset({"GroupNormalization", "InstanceNormalization", "LayerNormalization"})


def encodings_from_file(graph: FloatGraph, path: Path) -> Encodings:
    """The encodings of a file in AIMET's format, checked against the graph.

    What AIMET leaves out may be missing: biases (theirs follow from input and weight), the beta of a
    norm, and activations that an op only moves (they have their source's).

    Args:
        graph: the float graph.
        path: the file.

    Raises:
        QuantizeError: the file can't be read; it is for another graph (what is missing and what is
            too much is named); or an encoding doesn't fit its tensor's shape or isn't one that the
            HTP takes there.
    """
    entries, roles = read(path), graph.roles
    biases = {layer.bias for layer in roles.layers.values() if layer.bias}
    optional = set(roles.source) | _betas(graph)
    needed = [name for name in (*roles.floats, *roles.weights, *roles.values) if name not in optional]
    known = {*roles.floats, *roles.weights, *roles.values, *biases}
    _match(path, [name for name in needed if name not in entries], [name for name in entries if name not in known])

    parameters: dict[str, Encoding] = {}
    for name in roles.values:
        parameters[name] = _activation(path, entries[name]) if name in entries else choose_value(graph, name)
    activations: dict[str, Encoding] = {}
    for name in roles.floats:
        if name in entries:
            activations[name] = _activation(path, entries[name])
        else:
            source = roles.source[name]
            activations[name] = activations[source] if source in activations else parameters[source]
    for name, axis in roles.weights.items():
        shape = tuple(roles.constants[name].dims)
        parameters[name] = _weight(path, entries[name], shape, axis)
    found = Encodings(activations, parameters)
    for layer in roles.layers.values():
        if layer.bias:
            # A name that is also a factor or a norm's parameter has that one's entry.
            entry = None if layer.bias in roles.values else entries.get(layer.bias)
            _check_bias(path, graph, layer, found, entry)
    return found


def _betas(graph: FloatGraph) -> set[str]:
    nodes = [node for node in graph.model.graph.node if node.op_type in _NORMS and len(node.input) > 2]
    return {node.input[2] for node in nodes}


def _match(path: Path, missing: list[str], extra: list[str]) -> None:
    if not missing and not extra:
        return
    why = []
    if missing:
        why.append(f"It has no encoding for {_listed(missing)} of the graph.")
    if extra:
        why.append(f"It has encodings for {_listed(extra)} that the graph doesn't have.")
    raise QuantizeError(
        f"The encodings in {path} are not for this graph",
        why=" ".join(why),
        hint="Make them from the very float graph that qnn-sd exports (model.onnx of the export).",
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{len(names):,} tensor{'s' if len(names) > 1 else ''} ({shown}{more})"


def _refuse(path: Path, name: str, why: str, hint: str) -> QuantizeError:
    return QuantizeError(f"The encoding of {name} in {path} can't be used", why=why, hint=hint)


def _activation(path: Path, entry: Entry) -> Encoding:
    """8 or 16 bits, unsigned, or signed with zero point 0; other signed ones are the same numbers unsigned."""
    hint = "Activations are 8 or 16 bits, with one scale for the tensor."
    if entry.bits not in (8, 16):
        raise _refuse(path, entry.name, f"It has {entry.bits} bits.", hint)
    if entry.scale.size != 1:
        raise _refuse(path, entry.name, f"It has {entry.scale.size:,} scales.", hint)
    signed = entry.signed and entry.zero_point == 0
    zero_point = entry.zero_point + (2 ** (entry.bits - 1) if entry.signed and not signed else 0)
    if not 0 <= zero_point < 2**entry.bits:
        raise _refuse(path, entry.name, "Its range doesn't hold zero.", "Padding needs an exact zero.")
    return Encoding(entry.bits, signed, np.array(entry.scale[0], np.float32), zero_point)


def _weight(path: Path, entry: Entry, shape: tuple[int, ...], axis: int) -> Encoding:
    """int8 or int4 with zero point 0 (or unsigned with half the range, the same numbers).

    One scale a channel; of 8 bits also one for all.
    """
    hint = "Weights are int8 or int4 and symmetric, with one scale per output channel (int8 also with one for all)."
    if entry.bits not in WEIGHT_BITS:
        raise _refuse(path, entry.name, f"It has {entry.bits} bits.", hint)
    if entry.zero_point != (0 if entry.signed else 2 ** (entry.bits - 1)):
        raise _refuse(path, entry.name, f"Its zero point is {entry.zero_point}: it is not symmetric.", hint)
    if not entry.per_channel:
        if entry.bits == 4:
            raise _refuse(path, entry.name, "It has 4 bits and one scale for the whole weight.", hint)
        return Encoding(entry.bits, True, np.array(entry.scale[0], np.float32))
    if entry.axis is not None and not -len(shape) <= entry.axis < len(shape):
        raise _refuse(path, entry.name, f"Its axis is {entry.axis}, the weight's shape {list(shape)}.", hint)
    if entry.axis is not None and entry.axis % len(shape) != axis:
        raise _refuse(path, entry.name, f"Its axis is {entry.axis}, the output channels' is {axis}.", hint)
    if entry.scale.size != shape[axis]:
        why = f"It has {entry.scale.size:,} scales, the weight {shape[axis]:,} output channels ({list(shape)})."
        raise _refuse(path, entry.name, why, hint)
    return Encoding(entry.bits, True, entry.scale.astype(np.float32), 0, axis)


def _check_bias(path: Path, graph: FloatGraph, layer: Layer, found: Encodings, entry: Entry | None) -> None:
    """Refuses a bias whose encoding differs from the one that follows from input and weight, or that saturates."""
    derived = bias(found.of(layer.input), found.parameters[layer.weight])
    if entry is not None:
        same = entry.bits == 32 and entry.signed and entry.zero_point == 0
        if not same or not _follows(entry, derived):
            why = f"The HTP counts a bias in steps of the input's scale times the weight's ({layer.weight}), int32."
            raise _refuse(path, layer.bias, why, "Leave the biases' encodings out.")
    _, largest = integer_limits(derived.bits, signed=True)
    steps = np.abs(graph.array(layer.bias).astype(np.float64).reshape(-1)) / derived.scale.astype(np.float64)
    if steps.max(initial=0) > largest:
        raise _refuse(
            path,
            layer.weight,
            f"Its scale is so small that the bias {layer.bias} saturates in channel {int(steps.argmax())}.",
            "Raise that channel's scale.",
        )


def _follows(entry: Entry, derived: Encoding) -> bool:
    """Whether a bias's scales are those that follow, to float32's and a JSON writer's rounding."""
    if entry.scale.size not in (1, derived.scale.size):
        return False
    return bool(np.allclose(entry.scale, derived.scale, rtol=1e-3, atol=0))
