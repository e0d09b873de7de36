"""The least that a QDQ graph can move through memory, computed from the graph alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from onnx import helper

from qnn_sd.compile.blocks import QdqGraph

_ACTIVATION_BYTES = 2  # uint16 or int16


@dataclass(frozen=True)
class Floor:
    """Bytes in one call, none of which any schedule can save.

    Attributes:
        weights: every constant read once.
        ends: the graph's inputs read and its outputs written.
        too_large: each activation that doesn't fit on chip, written and read once. Attention's scores
            don't count: they are made, shared out and used row by row.
    """

    weights: int
    ends: int
    too_large: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.ends + self.too_large


def floor_of(graph: QdqGraph, on_chip_mb: float) -> Floor:
    """The floor of a graph.

    Args:
        graph: a QDQ graph.
        on_chip_mb: the HTP's own memory (VTCM), in MiB.
    """
    weights = 0
    for tensor in graph.constants.values():
        if any(
            node.op_type == "DequantizeLinear" and node.input[0] == tensor.name for node in graph.readers[tensor.name]
        ):
            weights += math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    source = graph.model.graph
    ends = [value.name for value in (*source.input, *source.output)]
    too_large = 0
    for node in graph.ops:
        size = math.prod(graph.shape(node.output[0])) * _ACTIVATION_BYTES
        if size > on_chip_mb * 2**20 and not _scores(graph, node.output[0]):
            too_large += 2 * size
    return Floor(weights, sum(_ACTIVATION_BYTES * math.prod(graph.shape(name)) for name in ends), too_large)


def _scores(graph: QdqGraph, name: str) -> bool:
    """Whether a tensor is a Softmax's output or, before a mask or a scale perhaps, its input."""
    if graph.maker[name].op_type == "Softmax":
        return True
    pending, seen = [name], {name}
    while pending:
        for reader in graph.readers[pending.pop()]:
            if reader.op_type == "Softmax":
                return True
            if reader.op_type in ("QuantizeLinear", "DequantizeLinear", "Add", "Mul"):
                pending.extend(set(reader.output) - seen)
                seen.update(reader.output)
    return False
