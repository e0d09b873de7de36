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
from onnx import helper, numpy_helper

from qnn_sd.onnx_files import MODEL_FILE, ExternalData
from qnn_sd.quantize.encodings.encoding import Encoding, Encodings, Integers, asymmetric, bias, second_operand
from qnn_sd.quantize.graph.constants import is_data
from qnn_sd.quantize.graph.float_graph import IR_VERSION, OPSET, FloatGraph
from qnn_sd.quantize.graph.op_rules import DATA_MOVEMENT_OPS


class QdqWriter:
    """Turns one float graph into its QDQ graph.

    Args:
        graph: the float graph.
        encodings: of all its activations and parameters.
        folder: existing empty folder for the QDQ model.
        rounded: integers of weights that aren't rounded to nearest, by name, in the weight's shape. They are stored in
            the bits of the weight's encoding: of 4, ONNX's INT4, two in a byte.
    """

    def __init__(
        self,
        graph: FloatGraph,
        encodings: Encodings,
        folder: Path,
        rounded: Mapping[str, Integers] | None = None,
    ) -> None:
        self._graph, self._encodings, self._folder = graph, encodings, folder
        self._rounded = rounded or {}
        self._roles = graph.roles
        self._floats = frozenset(graph.roles.floats)
        self._outputs = frozenset(value.name for value in graph.model.graph.output)
        self._data = ExternalData(folder)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._used_names: set[str] = set()
        # The QDQ graph's tensor that nodes read instead: by an activation's or a parameter's name, or, where a tensor
        # has further forms, by its name and the form's.
        self._read_as: dict[str | tuple[str, str], str] = {}

    def write(self) -> None:
        """Writes ``model.onnx`` and its weights.

        Raises:
            OSError: the folder can't be written.
        """
        try:
            for value in self._graph.model.graph.input:
                if value.name in self._floats:
                    encoding = self._encodings.activations[value.name]
                    self._read_as[value.name] = self._quantize_dequantize(value.name, f"{value.name}.dq", encoding)
                else:
                    self._read_as[value.name] = value.name
            for node in self._graph.model.graph.node:
                if node.output[0] not in self._roles.constants:
                    self._node(node)
        finally:
            self._data.close()
        self._save()

    def _node(self, node: onnx.NodeProto) -> None:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        quantized = any(name in self._floats for name in node.output)
        layer = self._roles.layers.get(node.output[0])
        for index, name in enumerate(node.input):
            if not name:
                continue
            if name not in self._roles.constants:
                copy.input[index] = self._read_as[name] if node.op_type in DATA_MOVEMENT_OPS else self._as_uint16(name)
            elif layer and layer.bias and index == 2:
                copy.input[index] = self._bias(layer.input, layer.weight, name)
            elif node.op_type == "LayerNormalization" and index == 2 and self._in_integers(node):
                copy.input[index] = self._bias(node.input[0], node.input[1], name)
            elif quantized and is_data(self._roles.constants, node, index):
                copy.input[index] = self._parameter(name)
            else:
                copy.input[index] = self._unquantized(name)
        if node.op_type == "MatMul" and node.input[1] in self._floats:
            copy.input[1] = self._second_operand(node.input[1])
        self._nodes.append(copy)
        for index, name in enumerate(node.output):
            if name in self._floats:
                copy.output[index] = f"{name}.raw"
                final = name if name in self._outputs else f"{name}.dq"
                self._read_as[name] = self._quantize_dequantize(
                    copy.output[index], final, self._encodings.activations[name]
                )
            else:
                self._read_as[name] = name

    def _quantize_dequantize(self, name: str, final: str, encoding: Encoding) -> str:
        """Adds QuantizeLinear and DequantizeLinear after a float tensor; returns ``final``, their output."""
        integers = f"{final}.q"
        scale, zero = self._scale(final, encoding)
        self._nodes.append(helper.make_node("QuantizeLinear", [name, scale, zero], [integers], name=integers))
        self._nodes.append(helper.make_node("DequantizeLinear", [integers, scale, zero], [final], name=final))
        return final

    def _scale(self, name: str, encoding: Encoding) -> tuple[str, str]:
        scale, zero = f"{name}.scale", f"{name}.zero_point"
        zeros = np.full(np.shape(encoding.scale), encoding.zero_point, encoding.stored_dtype)
        self._initializers[scale] = numpy_helper.from_array(np.asarray(encoding.scale, np.float32), scale)
        self._initializers[zero] = numpy_helper.from_array(zeros, zero)
        return scale, zero

    def _second_operand(self, name: str) -> str:
        """K transposed and V signed and symmetric: the HTP computes a uint16 one with 8 bits only."""
        encoding = self._encodings.activations[name]
        if encoding.signed:
            return self._read_as[name]
        if (name, "operand") not in self._read_as:
            chosen = self._encodings.operands.get(name) or second_operand(encoding)
            final = f"{name}.{chosen.dtype_name}"
            self._read_as[name, "operand"] = self._quantize_dequantize(self._read_as[name], final, chosen)
        return self._read_as[name, "operand"]

    def _as_uint16(self, name: str) -> str:
        """Rows of an 8-bit table as uint16: only ops that move numbers take them as they are."""
        if name not in self._floats or self._roles.encoding_owner(name) not in self._roles.tables:
            return self._read_as[name]
        if self._encodings.activations[name].bits != 8:
            return self._read_as[name]
        if (name, "uint16") not in self._read_as:
            self._read_as[name, "uint16"] = self._quantize_dequantize(
                self._read_as[name], f"{name}.uint16", self._encoding_as_read(name)
            )
        return self._read_as[name, "uint16"]

    def _encoding_as_read(self, name: str) -> Encoding:
        """The encoding in which ops that compute read a tensor: a row of an 8-bit table is uint16 by then."""
        encoding = self._encodings.of(name)
        from_table = (
            name in self._floats and self._roles.encoding_owner(name) in self._roles.tables and encoding.bits == 8
        )
        return asymmetric(*encoding.range()) if from_table else encoding

    def _dequantized(self, name: str, integers: Integers, encoding: Encoding) -> str:
        """A constant stored as integers, with the DequantizeLinear that reads it."""
        final = self._unique_name(name)
        stored = f"{final}.q"
        self._initializers[stored] = self._data.add(stored, integers.astype(encoding.stored_dtype, copy=False))
        scale, zero = self._scale(final, encoding)
        extra: dict[str, Any] = {} if encoding.axis is None else {"axis": encoding.axis}
        self._nodes.append(helper.make_node("DequantizeLinear", [stored, scale, zero], [final], name=final, **extra))
        return final

    def _unique_name(self, name: str) -> str:
        """A constant's name; with a number where it has several forms, as exporters share equal constants."""
        unique, count = name, 1
        while unique in self._used_names:
            count += 1
            unique = f"{name}.{count}"
        self._used_names.add(unique)
        return unique

    def _parameter(self, name: str) -> str:
        """A weight, a table, a factor: dequantized once, however many read it."""
        if name not in self._read_as:
            encoding = self._encodings.parameters[name]
            integers = self._rounded.get(name)
            if integers is None:
                integers = encoding.quantize(self._graph.array(name))
            self._read_as[name] = self._dequantized(name, integers, encoding)
        return self._read_as[name]

    def _in_integers(self, norm: onnx.NodeProto) -> bool:
        """Whether the HTP can compute a LayerNormalization in integers: gamma has 8 bits then, and beta 32.

        With 16-bit parameters it computes in float, and Stable Diffusion 1.5's text encoder takes half as long again
        (docs/htp-forms.md).
        """
        gamma = self._encodings.parameters.get(norm.input[1])
        return gamma is not None and gamma.bits == 8

    def _bias(self, source: str, weight: str, name: str) -> str:
        """A bias in the integers that a layer's products add up to."""
        encoding = bias(self._encoding_as_read(source), self._encodings.parameters[weight])
        form = f"bias of {source} by {weight}"
        if (name, form) not in self._read_as:
            values = self._graph.array(name).reshape(-1)
            self._read_as[name, form] = self._dequantized(name, encoding.quantize(values), encoding)
        return self._read_as[name, form]

    def _unquantized(self, name: str) -> str:
        """Shapes, indices and attributes, which stay as they are."""
        if (name, "unquantized") not in self._read_as:
            unique = self._unique_name(name)
            self._initializers[unique] = self._data.add(unique, self._graph.array(name))
            self._read_as[name, "unquantized"] = unique
        return self._read_as[name, "unquantized"]

    def _save(self) -> None:
        source = self._graph.model
        inputs = [value for value in source.graph.input if value.name not in self._roles.constants]
        graph = helper.make_graph(
            self._nodes, source.graph.name, inputs, source.graph.output, list(self._initializers.values())
        )
        opsets = [entry for entry in source.opset_import if entry.domain not in ("", "ai.onnx")]
        opsets.append(helper.make_opsetid("", max(self._graph.opset, OPSET)))
        model = helper.make_model(graph, opset_imports=opsets, producer_name="qnn-sd")
        model.ir_version = max(source.ir_version, IR_VERSION)
        onnx.save_model(model, self._folder / MODEL_FILE)
