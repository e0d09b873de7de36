"""LayerNormalization's parameters as AI Hub Models quantizes them: gamma with 8 bits, beta with 32.

The QNN plugin computes a LayerNormalization in integers only so. With 16-bit parameters, as this package's quantizer
writes a gamma of several numbers, it computes in float.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qnn_sd.onnx_files import MODEL_FILE, load_structure, read_array


def make_norms_integer(folder: Path) -> int:
    """Rewrites the LayerNormalizations of a QDQ model in place.

    Args:
        folder: of the QDQ model.

    Returns:
        How many there are.
    """
    model = load_structure(folder)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}

    def array(name: str) -> NDArray[Any]:
        return read_array(constants[name], folder)

    def values(pair: onnx.NodeProto) -> NDArray[np.float64]:
        integers, scale, zero = (array(name).astype(np.float64) for name in pair.input)
        return (integers - zero) * scale

    added: list[onnx.NodeProto] = []

    def encode(pair: onnx.NodeProto, integers: NDArray[Any], scale: float, zero: int) -> None:
        stored = (integers, np.array(scale, np.float32), np.array(zero, integers.dtype))
        for index, (part, of) in enumerate(zip(("q", "scale", "zero_point"), stored, strict=True)):
            name = f"{pair.output[0]}.integer.{part}"
            added.append(helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(of, name)))
            pair.input[index] = name

    norms = [node for node in graph.node if node.op_type == "LayerNormalization"]
    for norm in norms:
        input_scale = float(array(makers[norm.input[0]].input[1]))
        gamma, beta = (makers[name] for name in norm.input[1:])
        weights, biases = values(gamma), values(beta)
        low, high = min(0.0, float(weights.min())), max(0.0, float(weights.max()))
        scale = (high - low) / 255
        zero = round(-low / scale)
        encode(gamma, np.clip(np.round(weights / scale) + zero, 0, 255).astype(np.uint8), scale, zero)
        # As a convolution's bias: the scale is the input's times the weight's.
        encode(beta, np.round(biases / (input_scale * scale)).astype(np.int32), input_scale * scale, 0)
    nodes = [*added, *graph.node]
    read = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for name, tensor in constants.items() if name in read)
    onnx.save_model(model, folder / MODEL_FILE)
    return len(norms)
