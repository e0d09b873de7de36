"""Which encoding each tensor of a float graph gets: the knowledge about the HTP, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto

# Ops that move numbers without changing them: output and input share one encoding, or the HTP
# would requantize for nothing.
MOVES = frozenset({"Reshape", "Transpose", "Resize", "Gather"})
# Ops whose second input, if constant, is a weight: int8, one scale per output channel.
WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
# Outputs whose range is known without looking.
KNOWN_RANGES: Mapping[str, tuple[float, float]] = {
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Sin": (-1.0, 1.0),
    "Tanh": (-1.0, 1.0),
}
KNOWN_OPS = (
    MOVES
    | WEIGHTED
    | KNOWN_RANGES.keys()
    | {"Add", "Sub", "Mul", "Div", "Sqrt", "Concat", "LayerNormalization", "Gelu", "Relu", "Softplus"}
    | {"GlobalAveragePool"}
)


def weight_axis(node: onnx.NodeProto) -> int:
    """The output channels' axis of a weighted node's weight."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        return 0 if transposed else 1
    return 1


@dataclass(frozen=True)
class Roles:
    """What each tensor of a graph is.

    Attributes:
        constants: every initializer's name.
        floats: float activations, graph inputs included, in the order of their making.
        source: for a tensor that shares its encoding, the tensor that owns it.
        known: activations whose range is known without looking.
    """

    constants: frozenset[str]
    floats: tuple[str, ...]
    source: Mapping[str, str]
    known: Mapping[str, tuple[float, float]]

    def owner(self, name: str) -> str:
        """The tensor whose encoding this one has."""
        return self.source.get(name, name)


def roles(model: onnx.ModelProto) -> Roles:
    """Reads the tensors' roles off a float graph."""
    graph = model.graph
    constants = frozenset(tensor.name for tensor in graph.initializer)
    floats = [value.name for value in graph.input if value.type.tensor_type.elem_type == TensorProto.FLOAT]
    source: dict[str, str] = {}
    known: dict[str, tuple[float, float]] = {}
    for node in graph.node:
        output = node.output[0]
        floats.append(output)
        if node.op_type in MOVES:
            moved = node.input[0]
            source[output] = source.get(moved, moved)
        if node.op_type in KNOWN_RANGES:
            known[output] = KNOWN_RANGES[node.op_type]
    return Roles(constants, tuple(floats), source, known)
