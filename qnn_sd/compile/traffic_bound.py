"""The least that a QDQ graph can move through memory, computed from the graph alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.onnx_files import element_bits

_ACTIVATION_BYTES = 2  # uint16 or int16
# Ops that need the whole of a tensor before anything of their result is known, ...
_WHOLE = frozenset({"GlobalAveragePool", "InstanceNormalization", "ReduceMean"})
# ... and ops that only move it there.
_MOVES = frozenset({"QuantizeLinear", "DequantizeLinear", "Reshape", "Transpose"})


@dataclass(frozen=True)
class TrafficBound:
    """Bytes in one call, none of which any schedule can save.

    Attributes:
        weights: every constant read once; of a table, the rows that are looked up.
        ends: the graph's inputs read and its outputs written.
        too_large: each activation that doesn't fit on chip and must be complete before it is used (a norm's
            statistics need all of it, and then it is read again), written and read once. What is made and
            used tile by tile, as attention's scores and elementwise results can be, needn't leave the chip.
    """

    weights: int
    ends: int
    too_large: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.ends + self.too_large


def traffic_bound(graph: QdqGraph, on_chip_mb: float) -> TrafficBound:
    """The floor of a graph.

    Args:
        graph: a QDQ graph.
        on_chip_mb: the HTP's own memory (VTCM), in MiB.
    """
    weights = sum(_bytes_read(graph, tensor) for tensor in graph.constants.values())
    source = graph.model.graph
    ends = [value.name for value in (*source.input, *source.output)]
    too_large = 0
    for node in graph.ops:
        size = math.prod(graph.shape(node.output[0])) * _ACTIVATION_BYTES
        if size > on_chip_mb * 2**20 and _must_be_complete(graph, node.output[0]):
            too_large += 2 * size
    return TrafficBound(weights, sum(_ACTIVATION_BYTES * math.prod(graph.shape(name)) for name in ends), too_large)


def _bytes_read(graph: QdqGraph, tensor: onnx.TensorProto) -> int:
    """What one call reads of a constant: all of it, but of a table that is only looked up, the rows found."""
    found = 0
    for node in graph.readers[tensor.name]:
        if node.op_type == "DequantizeLinear" and node.input[0] == tensor.name:
            readers = graph.readers[node.output[0]]
            looked_up = [math.prod(graph.shape(r.output[0])) for r in readers if r.op_type == "Gather"]
            whole = math.prod(tensor.dims)
            found = max(found, min(whole, sum(looked_up)) if len(looked_up) == len(readers) else whole)
    return -(-found * element_bits(tensor.data_type) // 8)


def _must_be_complete(graph: QdqGraph, name: str) -> bool:
    """Whether a tensor's statistics are taken and it is read again, by another op or by the same one."""
    readers = _readers_behind_moves(graph, name)
    whole = [reader for reader in readers if reader.op_type in _WHOLE]
    return bool(whole) and (len(readers) > 1 or whole[0].op_type == "InstanceNormalization")


def _readers_behind_moves(graph: QdqGraph, name: str) -> list[onnx.NodeProto]:
    found = []
    for reader in graph.readers[name]:
        found += _readers_behind_moves(graph, reader.output[0]) if reader.op_type in _MOVES else [reader]
    return found
