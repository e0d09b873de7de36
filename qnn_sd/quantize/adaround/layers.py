"""The layers of a QDQ graph whose weights can be rounded up or down, grouped by what goes into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from qnn_sd.quantize.graph.op_rules import WEIGHTED_OPS, weight_axis

# Bits of the integers that weights are stored as, by ONNX's type.
_WEIGHT_BITS: dict[int, int] = {onnx.TensorProto.INT4: 4, onnx.TensorProto.INT8: 8}


@dataclass(frozen=True)
class QuantizedLayer:
    """A weighted node between its DequantizeLinear nodes.

    Attributes:
        name: of its output in the float graph.
        node: the Conv, Gemm or MatMul.
        source: the activation that goes in: output of its DequantizeLinear.
        weight: the stored integers, int8 or int4.
        scale: their scales, [channels] float32.
        axis: the weight's axis of output channels.
    """

    name: str
    node: onnx.NodeProto
    source: str
    weight: onnx.TensorProto
    scale: onnx.TensorProto
    axis: int

    @property
    def bits(self) -> int:
        """The weight's bits."""
        return _WEIGHT_BITS[self.weight.data_type]

    def matrix(self, weight: NDArray[Any]) -> NDArray[Any]:
        """A weight of this layer as [out, K]; K in the order of its own axes."""
        return weight.reshape(len(weight), -1) if self.axis == 0 else weight.T

    def tensor(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """A matrix [out, K] in the shape of this layer's weight."""
        shape = tuple(self.weight.dims)
        return np.ascontiguousarray(matrix.reshape(shape) if self.axis == 0 else matrix.T)


def quantized_layers(model: onnx.ModelProto) -> list[QuantizedLayer]:
    """Layers with a quantized weight of their own, in the order of the graph.

    A weight that several nodes read is left out: there is no one layer whose error it could lower. So are
    convolutions in groups, transposed ones and stacks of products; all of these stay rounded to nearest.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    producers: Mapping[str, onnx.NodeProto] = {name: node for node in model.graph.node for name in node.output}
    uses = Counter(name for node in model.graph.node for name in node.input)
    found = []
    for node in model.graph.node:
        dequantize = producers.get(node.input[1]) if node.op_type in WEIGHTED_OPS and len(node.input) > 1 else None
        if dequantize is None or dequantize.op_type != "DequantizeLinear" or dequantize.input[0] not in constants:
            continue
        stored, scale = (constants[name] for name in dequantize.input[:2])
        if stored.data_type in _WEIGHT_BITS and uses[dequantize.output[0]] == 1 and _is_matrix(node, stored):
            axis = weight_axis(node, len(stored.dims))
            name = node.output[0].removesuffix(".raw")
            found.append(QuantizedLayer(name, node, node.input[0], stored, scale, axis))
    return found


def _is_matrix(node: onnx.NodeProto, weight: onnx.TensorProto) -> bool:
    """Whether each output channel is a sum over all inputs: not in groups, not transposed, not a stack of products."""
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return node.op_type != "ConvTranspose" and groups == 1 and (node.op_type == "Conv" or len(weight.dims) == 2)


def by_source(layers: list[QuantizedLayer]) -> dict[str, list[QuantizedLayer]]:
    """Layers by their input, in order: what they share is computed once."""
    groups: dict[str, list[QuantizedLayer]] = {}
    for layer in layers:
        groups.setdefault(layer.source, []).append(layer)
    return groups
