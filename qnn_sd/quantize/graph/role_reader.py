"""Reads off a float graph what each of its tensors is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx
from onnx import TensorProto, numpy_helper

from qnn_sd.errors import QuantizeError
from qnn_sd.quantize.graph.constants import graph_constants, is_data
from qnn_sd.quantize.graph.op_rules import (
    AFFINE_OPS,
    DATA_MOVEMENT_OPS,
    KNOWN_OPS,
    KNOWN_RANGES,
    SOFTMAX_OPS,
    WEIGHTED_OPS,
    weight_axis,
)
from qnn_sd.quantize.graph.tensor_roles import Layer, TensorRoles

_OTHER_FLOATS: Mapping[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}
_INTEGER_OPS = frozenset({"ArgMax", "ArgMin", "NonZero", "Shape", "Size"})
_BOOLEAN_OPS = frozenset({"And", "Equal", "Greater", "GreaterOrEqual", "IsNaN", "Less", "LessOrEqual", "Not", "Or"})


def tensor_roles(model: onnx.ModelProto) -> TensorRoles:
    """Reads the tensors' roles off a float graph.

    Raises:
        QuantizeError: an op that no rule covers, a tensor in another float type than float32, or a
            constant that is a weight in one place and something else in another.
    """
    reader = _RoleReader(graph_constants(model.graph))
    for value in model.graph.input:
        if value.name not in reader.constants:
            reader.declare(value.name, value.type.tensor_type.elem_type)
            if all(axis.dim_value == 1 for axis in value.type.tensor_type.shape.dim):
                reader.affine_chains.add(value.name)
    for node in model.graph.node:
        if node.output[0] not in reader.constants:
            reader.read(node)
    return reader.result()


@dataclass
class _RoleReader:
    """Collects the roles node by node."""

    constants: Mapping[str, TensorProto]
    floats: list[str] = field(default_factory=list)
    layers: dict[str, Layer] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    # Whether each is read by lookups of its rows alone.
    values: dict[str, bool] = field(default_factory=dict)
    gammas: dict[str, str] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)
    known: dict[str, tuple[float, float]] = field(default_factory=dict)
    softmax_outputs: set[str] = field(default_factory=set)
    squares: set[str] = field(default_factory=set)
    affine_chains: set[str] = field(default_factory=set)
    types: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, tensor in self.constants.items():
            self.types[name] = tensor.data_type

    def declare(self, name: str, kind: int) -> None:
        """Notes an activation of an element type."""
        if kind in _OTHER_FLOATS:
            raise QuantizeError(
                f"{name} is {_OTHER_FLOATS[kind]}",
                why="The quantizer starts from a float32 graph.",
                hint="Export the model in float32.",
            )
        self.types[name] = kind
        if kind == TensorProto.FLOAT:
            self.floats.append(name)

    def read(self, node: onnx.NodeProto) -> None:
        """Notes what a node's tensors are."""
        outputs = [name for name in node.output if name]
        kind = self._output_type(node)
        for name in outputs:
            self.declare(name, kind)
        if kind != TensorProto.FLOAT:
            return  # shapes, indices, conditions: they pass as they are
        if node.op_type not in KNOWN_OPS or node.domain not in ("", "ai.onnx"):
            raise QuantizeError(
                f"No rule says how to quantize {node.op_type}",
                why=f"Node {node.name} is one.",
                hint="Add a rule to qnn_sd/quantize/graph/op_rules.py.",
            )
        if node.op_type == "LayerNormalization" and self.constants.keys() >= set(node.input[1:]) and node.input[2:]:
            self.gammas[node.input[1]] = node.input[2]
        layer = self._layer(node)
        if layer:
            self.layers[outputs[0]] = layer
            if self.weights.setdefault(layer.weight, layer.axis) != layer.axis:
                raise self._two_roles_error(layer.weight)
        for index, name in enumerate(node.input):
            part_of_layer = layer and (index == 1 or (index == 2 and layer.bias))
            if is_data(self.constants, node, index) and not part_of_layer:
                self.values[name] = self.values.get(name, True) and self._looks_up_rows(node)
        for name in outputs:
            if self._only_moves(node):
                self.source[name] = node.input[0]
            self._note_range(node, name)

    def _note_range(self, node: onnx.NodeProto, name: str) -> None:
        """Notes what is known of an output's range beside what will be measured."""
        if node.op_type in KNOWN_RANGES:
            self.known[name] = KNOWN_RANGES[node.op_type]
        if node.op_type in SOFTMAX_OPS:
            self.softmax_outputs.add(name)
        if node.op_type == "Mul" and node.input[0] == node.input[1]:
            self.squares.add(name)
        if self._is_affine_chain(node):
            self.affine_chains.add(name)

    def result(self) -> TensorRoles:
        """The roles, once every node was read."""
        for name in self.weights:
            if name in self.values:
                raise self._two_roles_error(name)
        return TensorRoles(
            self.constants,
            tuple(self.floats),
            self.layers,
            self.weights,
            tuple(self.values),
            frozenset(name for name, looked_up in self.values.items() if looked_up),
            self.gammas,
            self.source,
            self.known,
            frozenset(self.softmax_outputs),
            frozenset(self.squares),
            frozenset(self.affine_chains),
        )

    @staticmethod
    def _two_roles_error(name: str) -> QuantizeError:
        return QuantizeError(
            f"The constant {name} can't have one encoding",
            why="It is a weight in one place, and in another a weight of another layout, a table or a factor.",
            hint="Store it once for each use.",
        )

    def _output_type(self, node: onnx.NodeProto) -> int:
        """The element type of a node's outputs; unknown ones count as float, so that they meet the rules."""
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type in _INTEGER_OPS:
            return TensorProto.INT64
        if node.op_type in _BOOLEAN_OPS:
            return TensorProto.BOOL
        if node.op_type == "Cast":
            return int(attributes["to"].i)
        if node.op_type == "ConstantOfShape":
            return attributes["value"].t.data_type if "value" in attributes else TensorProto.FLOAT
        typed = node.input[1:] if node.op_type == "Where" else node.input
        return next((self.types[name] for name in typed if name), TensorProto.FLOAT)

    def _layer(self, node: onnx.NodeProto) -> Layer | None:
        if node.op_type not in WEIGHTED_OPS:
            return None
        weight = self.constants.get(node.input[1])
        if weight is None or weight.data_type != TensorProto.FLOAT or len(weight.dims) < 2:
            return None
        axis = weight_axis(node, len(weight.dims))
        channels = weight.dims[axis]
        bias = node.input[2] if len(node.input) > 2 else ""
        # Gemm's third input may be a matrix: then it is an addend like any other.
        if bias and (bias not in self.constants or math.prod(self.constants[bias].dims) != channels):
            bias = ""
        return Layer(node.input[0], node.input[1], axis, channels, bias)

    def _is_affine_chain(self, node: onnx.NodeProto) -> bool:
        fed = [name for name in node.input if name and name not in self.constants]
        return node.op_type in AFFINE_OPS | DATA_MOVEMENT_OPS and len(fed) == 1 and fed[0] in self.affine_chains

    def _looks_up_rows(self, node: onnx.NodeProto) -> bool:
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        return node.op_type == "Gather" and axis == 0 and len(self.constants[node.input[0]].dims) == 2

    def _only_moves(self, node: onnx.NodeProto) -> bool:
        if node.op_type == "Cast":
            return self.types[node.input[0]] == TensorProto.FLOAT
        if node.op_type == "Pad" and len(node.input) > 2 and node.input[2]:
            # What is padded with may lie outside the source's range; zero never does.
            padding = self.constants.get(node.input[2])
            return (
                padding is not None
                and padding.data_location != TensorProto.EXTERNAL
                and not numpy_helper.to_array(padding).any()
            )
        return node.op_type in DATA_MOVEMENT_OPS
