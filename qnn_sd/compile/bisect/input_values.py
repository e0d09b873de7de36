"""Seeded inputs of a graph, where none were recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.onnx_files import read_array
from qnn_sd.runner import Feeds

# Of a calibrated range: what was measured there reached its ends once.
_DEVIATIONS_IN_A_RANGE = 7


def seeded_inputs(graph: QdqGraph, seed: int) -> Feeds:
    """Normal values within the inputs' encodings; indices within what they index.

    Args:
        graph: whose inputs.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    return {value.name: _values(graph, value.name, rng) for value in graph.model.graph.input}


def _values(graph: QdqGraph, name: str, rng: np.random.Generator) -> NDArray[np.generic]:
    shape, dtype = graph.shape(name), helper.tensor_dtype_to_np_dtype(graph.values[name].type.tensor_type.elem_type)
    if dtype.kind != "f":
        return np.asarray(rng.integers(0, _indexed(graph, name), shape)).astype(dtype)
    low, high = encoded_range(graph, name) or (-3.5, 3.5)
    deviation = (high - low) / _DEVIATIONS_IN_A_RANGE
    return np.clip(rng.normal((low + high) / 2, deviation, shape), low, high).astype(dtype)


def encoded_range(graph: QdqGraph, name: str) -> tuple[float, float] | None:
    """The least and the largest value that a tensor's QuantizeLinear keeps; None where there is none per tensor."""
    for reader in graph.readers[name]:
        if reader.op_type != "QuantizeLinear" or len(reader.input) < 3 or reader.input[2] not in graph.constants:
            continue
        scale, zero = (read_array(graph.constants[each], graph.folder) for each in reader.input[1:3])
        if scale.size == 1:
            limits = np.iinfo(zero.dtype)
            step, middle = float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0])
            return (limits.min - middle) * step, (limits.max - middle) * step
    return None


def _indexed(graph: QdqGraph, name: str) -> int:
    """How many things an integer input chooses among; 2 where nothing tells."""
    sizes = [2]
    for reader in graph.readers[name]:
        if reader.op_type in ("Gather", "GatherElements") and name in list(reader.input)[1:]:
            axis = next((int(each.i) for each in reader.attribute if each.name == "axis"), 0)
            sizes.append(graph.shape(reader.input[0])[axis])
        elif reader.op_type == "Cast":
            sizes.append(_indexed(graph, reader.output[0]))
    return max(sizes)
