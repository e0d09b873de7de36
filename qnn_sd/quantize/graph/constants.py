"""The constants of a float graph, however its exporter wrote them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from qnn_sd.errors import QuantizeError
from qnn_sd.quantize.graph.op_rules import ATTRIBUTE_INPUTS


def graph_constants(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """Every constant by name: initializers, what Constant nodes hold, and other names of these (Identity).

    Raises:
        QuantizeError: a Constant node holds something else than numbers.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = _constant_tensor(node)
        elif node.op_type == "Identity" and node.input[0] in constants:
            # So exporters write a constant that several layers share.
            constants[node.output[0]] = constants[node.input[0]]
    return constants


def _constant_tensor(node: onnx.NodeProto) -> TensorProto:
    """What a Constant node holds, as an initializer of its output's name."""
    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    tensor = TensorProto()
    if attribute.name == "value":
        tensor.CopyFrom(value)
    elif attribute.name in ("value_float", "value_floats"):
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(value, np.float32)))
    elif attribute.name in ("value_int", "value_ints"):
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(value, np.int64)))
    else:
        raise QuantizeError(
            f"The constant {node.output[0]} can't be quantized",
            why=f"It is given as {attribute.name}.",
            hint="Export it as a plain tensor (value).",
        )
    tensor.name = node.output[0]
    return tensor


def is_data(constants: Mapping[str, TensorProto], node: onnx.NodeProto, index: int) -> bool:
    """Whether a node's input is a float constant that is computed with, and no attribute of the op.

    Args:
        constants: of the graph, by name.
        node: whose input it is.
        index: of the input.
    """
    constant = constants.get(node.input[index])
    is_float = constant is not None and constant.data_type == TensorProto.FLOAT
    return is_float and index not in ATTRIBUTE_INPUTS.get(node.op_type, ())
