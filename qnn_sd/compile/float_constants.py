"""Takes away the DequantizeLinear of constants that the compiler reads as float.

The QNN plugin runs LayerNormalization in float and makes an op of each DequantizeLinear of its gamma and beta. Such an
op has no input, so where the compiler cuts a graph into parts it may become a part of its own, and the binary doesn't
run: of SD 1.5's UNet each call ended with "Execute with 0 in, 0 out; graph expects 0 in and 1 out" (QAIRT 2.51).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from qnn_sd.onnx_files import load_structure, read_array

_IN_FLOAT = frozenset({"LayerNormalization"})


def with_float_constants(folder: Path) -> onnx.ModelProto:
    """A QDQ model in which ops that run in float read their constants as float: the same numbers, no op to make them.

    Args:
        folder: of the QDQ model.

    Returns:
        Its structure; external tensors' locations are still relative to the folder.
    """
    model = load_structure(folder)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {
        node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants
    }
    read_as_float = {name for node in graph.node if node.op_type in _IN_FLOAT for name in node.input}
    read_as_integers = {name for node in graph.node if node.op_type not in _IN_FLOAT for name in node.input}
    folded = makers.keys() & (read_as_float - read_as_integers)
    floats = [_dequantized(makers[name], constants, folder) for name in sorted(folded)]
    nodes = [node for node in graph.node if node.output[0] not in folded]
    read = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*(tensor for name, tensor in constants.items() if name in read), *floats])
    return model


def _dequantized(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], folder: Path) -> onnx.TensorProto:
    integers, scale, zero = (read_array(constants[name], folder) for name in node.input)
    # As ONNX defines DequantizeLinear: a difference of integers, times a float32.
    values = (integers.astype(np.int32) - zero.astype(np.int32)).astype(np.float32) * scale
    return numpy_helper.from_array(values, node.output[0])
