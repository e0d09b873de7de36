"""Which activations can't be negative, whatever the inputs are."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.graph.op_rules import KNOWN_RANGES, NON_NEGATIVE_OPS, SIGN_PRESERVING_OPS


def non_negative_tensors(graph: FloatGraph) -> frozenset[str]:
    """The activations of a float graph that follow from their making to be zero or more.

    A measured range on one side of zero is no proof: a channel's mean, say, is one number an image, and the next
    image's may have the other sign. A square is never negative, nor is what is made of squares alone.
    """
    found: set[str] = set()

    def is_non_negative(name: str) -> bool:
        constant = graph.roles.constants.get(name)
        if constant is None:
            return name in found
        # Axes and shapes are no data.
        return constant.data_type != TensorProto.FLOAT or bool(graph.array(name).min(initial=0) >= 0)

    def makes_non_negative(node: onnx.NodeProto) -> bool:
        if node.op_type in NON_NEGATIVE_OPS or KNOWN_RANGES.get(node.op_type, (-1.0, 1.0))[0] >= 0:
            return True
        if node.op_type == "Mul" and node.input[0] == node.input[1]:
            return True
        # Activations first: large weights are read only where it depends on them.
        names = sorted(filter(None, node.input), key=lambda name: name in graph.roles.constants)
        return node.op_type in SIGN_PRESERVING_OPS and all(map(is_non_negative, names))

    for node in graph.model.graph.node:
        if makes_non_negative(node):
            found.update(node.output)
    return frozenset(found)
