"""A cut without what its owner may want to keep: names, and the values of weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from qnn_sd.onnx_files import MODEL_FILE, read_array

# Smaller constants say how the graph computes: shapes, axes, scales of activations.
_WEIGHTS_FROM = 17
# Random weights repeat after this many, so that they take no room once they are packed. A prime: no row of a matrix
# is another one again.
_PERIOD = 1021


def embedded(folder: Path, keep_names: bool) -> tuple[onnx.ModelProto, dict[str, str]]:
    """A graph with its weights within it, and no name that it had.

    Args:
        folder: of the QDQ model.
        keep_names: whether it keeps its names after all.

    Returns:
        The model, and the new name of each tensor by its old one.
    """
    model = onnx.load_model(folder / MODEL_FILE, load_external_data=False)
    graph = model.graph
    if keep_names:
        names = {name: name for node in graph.node for name in (*node.input, *node.output)}
    else:
        names = _new_names(graph)
        for number, node in enumerate(graph.node):
            node.name = f"{node.op_type}_{number}"
    for node in graph.node:
        node.doc_string = ""
        for ends in (node.input, node.output):
            ends[:] = [names[name] for name in ends]
    weights = [(names[each.name], read_array(each, folder)) for each in graph.initializer]
    del graph.initializer[:], graph.value_info[:], model.metadata_props[:]
    graph.initializer.extend(numpy_helper.from_array(np.array(array), name) for name, array in weights)
    for value in (*graph.input, *graph.output):
        value.name, value.doc_string = names[value.name], ""
    graph.name, graph.doc_string, model.doc_string = "reproduction", "", ""
    return model, names


def _new_names(graph: onnx.GraphProto) -> dict[str, str]:
    names = {"": ""}
    for kind, values in (("input", graph.input), ("output", graph.output)):
        names |= {value.name: f"{kind}_{number}" for number, value in enumerate(values)}
    for number, tensor in enumerate(graph.initializer):
        names.setdefault(tensor.name, f"constant_{number}")
    for number, node in enumerate(graph.node):
        for place, output in enumerate(node.output):
            names.setdefault(output, f"tensor_{number}_{place}")
    return names


def weights_of(model: onnx.ModelProto) -> list[str]:
    """Names of the constants that are weights by their size and type, per-channel scales among them."""
    return [
        each.name
        for each in model.graph.initializer
        if np.prod(each.dims) >= _WEIGHTS_FROM and each.data_type not in (onnx.TensorProto.INT64, onnx.TensorProto.BOOL)
    ]


def with_random_weights(model: onnx.ModelProto, replaced: Iterable[str], seed: int) -> onnx.ModelProto:
    """A copy in which some constants are random, with the mean and the deviation that they had.

    Scales per channel become their mean, zero points stay: a bias' scales are its input's times the weights', and the
    means keep that.

    Args:
        model: with its weights within it.
        replaced: names of the constants.
        seed: of the random numbers.
    """
    copy, rng = onnx.ModelProto(), np.random.default_rng(seed)
    copy.CopyFrom(model)
    pairs = [node for node in copy.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    scales, zeros = ({node.input[place] for node in pairs if len(node.input) > place} for place in (1, 2))
    for tensor in copy.graph.initializer:
        if tensor.name not in set(replaced) or tensor.name in zeros:
            continue
        values = numpy_helper.to_array(tensor)
        changed = np.full_like(values, values.mean()) if tensor.name in scales else _random_like(values, rng)
        tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    return copy


def _random_like(values: NDArray[np.generic], rng: np.random.Generator) -> NDArray[np.generic]:
    plain = values.astype(np.float64)
    block = rng.normal(plain.mean(), plain.std(), min(_PERIOD, plain.size))
    if not np.issubdtype(values.dtype, np.floating):
        block = np.clip(np.rint(block), plain.min(), plain.max())
    return np.resize(block, plain.shape).astype(values.dtype)
