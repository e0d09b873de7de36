"""Writes the QDQ graph: every op of the float graph between DequantizeLinear and QuantizeLinear.

Weights are quantized one by one from the mapped float file into the new external file, so that
memory is bounded by the largest layer and the protobuf stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qnn_sd.errors import QuantizeError
from qnn_sd.onnx_files import MODEL_FILE, ExternalData, load_structure, read_array
from qnn_sd.quantize.encodings import Encoding, asymmetric, per_channel, symmetric
from qnn_sd.quantize.rules import KNOWN_OPS, WEIGHTED, Roles, roles, weight_axis

Ranges = Mapping[str, tuple[float, float]]


class QdqWriter:
    """Turns one float graph into its QDQ graph.

    Args:
        source: folder of the float model.
        ranges: every float activation's range.
        folder: existing empty folder for the QDQ model.
    """

    def __init__(self, source: Path, ranges: Ranges, folder: Path) -> None:
        self._source, self._folder, self._ranges = source, folder, ranges
        self._float = load_structure(source)
        self._roles: Roles = roles(self._float)
        self._tensors = {tensor.name: tensor for tensor in self._float.graph.initializer}
        self._data = ExternalData(folder)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._ready: dict[str, str] = {}  # float tensor → the dequantized name that consumers read
        self.activations: dict[str, Encoding] = {}
        self.parameters: dict[str, Encoding] = {}

    def write(self) -> None:
        """Writes ``model.onnx`` and its weights.

        Raises:
            QuantizeError: an op that no rule covers.
        """
        graph = self._float.graph
        # The table that a Gather reads owns the encoding of what it reads.
        for node in graph.node:
            if node.op_type == "Gather":
                table = self._array(node.input[0])
                self.activations[node.input[0]] = asymmetric(float(table.min()), float(table.max()))
        for name in self._roles.floats:
            owner = self._roles.owner(name)
            if owner not in self.activations:
                low, high = self._roles.known.get(owner) or self._ranges[owner]
                self.activations[owner] = asymmetric(low, high)
            self.activations[name] = self.activations[owner]
        outputs = {value.name for value in graph.output}
        for value in graph.input:
            if value.name in self.activations:
                self._ready[value.name] = self._pair(value.name, f"{value.name}.dq", self.activations[value.name])
            else:
                self._ready[value.name] = value.name
        for node in graph.node:
            if node.op_type not in KNOWN_OPS:
                raise QuantizeError(
                    f"No rule says how to quantize {node.op_type}",
                    why=f"Node {node.name} is one.",
                    hint="Add a rule to qnn_sd/quantize/rules.py.",
                )
            self._node(node, outputs)
        self._data.close()
        self._save()

    def _array(self, name: str) -> NDArray[Any]:
        return read_array(self._tensors[name], self._source)

    def _node(self, node: onnx.NodeProto, outputs: set[str]) -> None:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        weighted = node.op_type in WEIGHTED and node.input[1] in self._roles.constants
        for index, name in enumerate(node.input):
            if not name:
                continue
            if name not in self._roles.constants:
                copy.input[index] = self._ready[name]
            elif weighted and index == 1:
                copy.input[index] = self._weight(node)
            elif weighted and index == 2:
                copy.input[index] = self._bias(node)
            else:
                copy.input[index] = self._constant(node, index)
        if node.op_type == "MatMul" and not weighted:
            copy.input[1] = self._second_operand(node.input[1])
        output = node.output[0]
        raw = f"{output}.raw"
        copy.output[0] = raw
        self._nodes.append(copy)
        final = output if output in outputs else f"{output}.dq"
        self._ready[output] = self._pair(raw, final, self.activations[output])

    def _pair(self, name: str, final: str, encoding: Encoding) -> str:
        """QuantizeLinear and DequantizeLinear after a float tensor."""
        middle = f"{final}.q"
        scale, zero = self._scale(final, encoding)
        self._nodes.append(helper.make_node("QuantizeLinear", [name, scale, zero], [middle], name=middle))
        self._nodes.append(helper.make_node("DequantizeLinear", [middle, scale, zero], [final], name=final))
        return final

    def _scale(self, name: str, encoding: Encoding) -> tuple[str, str]:
        scale, zero = f"{name}.scale", f"{name}.zero_point"
        zeros = np.full(np.shape(encoding.scale), encoding.zero_point, encoding.dtype)
        self._initializers[scale] = numpy_helper.from_array(np.asarray(encoding.scale, np.float32), scale)
        self._initializers[zero] = numpy_helper.from_array(zeros, zero)
        return scale, zero

    def _second_operand(self, name: str) -> str:
        """K transposed and V as int16 symmetric: the HTP computes a uint16 one with 8 bits only."""
        final = f"{name}.int16"
        if final not in self._ready:
            low, high = self._ranges[self._roles.owner(name)]
            encoding = symmetric(max(abs(low), abs(high)))
            self.activations[final] = encoding
            self._ready[final] = self._pair(self._ready[name], final, encoding)
        return self._ready[final]

    def _dequantized(self, name: str, integers: NDArray[Any], encoding: Encoding) -> str:
        """A constant stored as integers, with the DequantizeLinear that reads it."""
        stored = f"{name}.q"
        self._initializers[stored] = self._data.add(stored, integers)
        scale, zero = self._scale(name, encoding)
        extra: dict[str, Any] = {} if encoding.axis is None else {"axis": encoding.axis}
        self._nodes.append(helper.make_node("DequantizeLinear", [stored, scale, zero], [name], name=name, **extra))
        self._ready[name] = name
        self.parameters[name] = encoding
        return name

    def _weight(self, node: onnx.NodeProto) -> str:
        name = str(node.input[1])
        if name in self._ready:
            return name
        weight = np.asarray(self._array(name))
        axis = weight_axis(node)
        least = None
        if len(node.input) > 2:
            # The bias is int32 in steps of input scale times weight scale: a weight scale so small
            # that the bias would saturate is raised (a channel of almost nothing but bias).
            bias = np.abs(np.asarray(self._array(node.input[2]), np.float64))
            least = bias / (float(self._input_encoding(node).scale) * 2**30)
        encoding = per_channel(weight, axis, least)
        return self._dequantized(name, encoding.quantize(weight), encoding)

    def _input_encoding(self, node: onnx.NodeProto) -> Encoding:
        return self.activations[node.input[0]]

    def _bias(self, node: onnx.NodeProto) -> str:
        name = str(node.input[2])
        weight = self.parameters[node.input[1]]
        scale = np.asarray(self._input_encoding(node).scale, np.float64) * weight.scale.astype(np.float64)
        encoding = Encoding(32, True, scale.astype(np.float32), 0, 0)
        return self._dequantized(name, encoding.quantize(np.asarray(self._array(name))), encoding)

    def _constant(self, node: onnx.NodeProto, index: int) -> str:
        """Constants of elementwise ops and norms as uint16; shapes and scales stay as they are."""
        name = str(node.input[index])
        if name in self._ready:
            return name
        array = np.asarray(self._array(name))
        if array.dtype != np.float32 or node.op_type == "Resize":
            self._initializers[name] = self._tensors[name]
            self._ready[name] = name
            return name
        encoding = self.activations.get(name) or asymmetric(float(array.min()), float(array.max()))
        return self._dequantized(name, encoding.quantize(array), encoding)

    def _save(self) -> None:
        source = self._float.graph
        graph = helper.make_graph(
            self._nodes, source.name, source.input, source.output, list(self._initializers.values())
        )
        model = helper.make_model(graph, opset_imports=self._float.opset_import, producer_name="qnn-sd")
        model.ir_version = self._float.ir_version
        onnx.save_model(model, self._folder / MODEL_FILE)
