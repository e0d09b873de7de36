"""Multiply-accumulates of a graph, counted from its shapes."""

from __future__ import annotations

import math

import onnx

from qnn_sd.compile.blocks import QdqGraph


def macs_of(graph: QdqGraph) -> int:
    """Multiply-accumulates in one call of a QDQ graph, of convolutions and products; everything else counts as none."""
    return sum(_macs(graph, node) for node in graph.ops)


def _macs(graph: QdqGraph, node: onnx.NodeProto) -> int:
    if node.op_type not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
        return 0
    made = math.prod(graph.shape(node.output[0]))
    second = graph.shape(node.input[1])
    match node.op_type:
        case "Conv":  # weight [out, in / groups, kh, kw]
            return made * math.prod(second[1:])
        case "ConvTranspose":  # weight [in, out / groups, kh, kw]: each input pixel meets all of its row
            return math.prod(graph.shape(node.input[0])) * math.prod(second[1:])
        case "MatMul":
            return made * second[-2 if len(second) > 1 else -1]
        case _:
            transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            return made * second[1 if transposed else 0]
