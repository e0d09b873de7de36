"""Writes an ONNX graph node by node and its weights straight to the external data file.

A weight goes from the checkpoint to disk as soon as it is used, so memory stays at the largest
layer, and the protobuf never nears its 2 GB limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from qnn_sd.onnx_files import MODEL_FILE, ExternalData

OPSET = 21  # the first whose QuantizeLinear takes 16 bits and whose Gelu is an op of its own
IR_VERSION = 10


@dataclass(frozen=True)
class Value:
    """A tensor in the graph: its name and static shape."""

    name: str
    shape: tuple[int, ...]


class Graph:
    """A graph being written into a folder; use as a context manager.

    Args:
        name: the graph's name.
        folder: existing folder that gets ``model.onnx`` and its weights.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._scope: list[str] = []
        self._taken: set[str] = set()
        self._data = ExternalData(folder)

    def __enter__(self) -> Graph:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._data.close()
        if kind is None:
            self._save()

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names inside get the prefix ``name.``, so that they read like the checkpoint's."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def _unique(self, name: str) -> str:
        full = ".".join([*self._scope, name])
        candidate, count = full, 1
        while candidate in self._taken:
            count += 1
            candidate = f"{full}_{count}"
        self._taken.add(candidate)
        return candidate

    def input(self, name: str, shape: Sequence[int], dtype: int = TensorProto.FLOAT) -> Value:
        """Declares a graph input."""
        self._taken.add(name)
        self._inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return Value(name, tuple(shape))

    def output(self, value: Value, name: str) -> None:
        """Declares a graph output, the given value under a name of its own."""
        node = next(node for node in reversed(self._nodes) if value.name in node.output)
        index = list(node.output).index(value.name)
        node.output[index] = name
        for other in self._nodes:
            for position, read in enumerate(other.input):
                if read == value.name:
                    other.input[position] = name
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(value.shape)))

    def constant(self, name: str, array: NDArray[Any]) -> Value:
        """Adds an initializer: float32 to the external file if it is large, the rest inline."""
        full = self._unique(name)
        if array.dtype.kind == "f":
            array = array.astype(np.float32, copy=False)
        self._initializers.append(self._data.add(full, array))
        return Value(full, array.shape)

    def node(
        self, op: str, inputs: Sequence[Value | None], shape: Sequence[int], name: str = "", **attributes: Any
    ) -> Value:
        """Adds a node with one output of a known shape."""
        full = self._unique(name or op)
        names = [value.name if value else "" for value in inputs]
        self._nodes.append(helper.make_node(op, names, [full], name=full, **attributes))
        return Value(full, tuple(int(size) for size in shape))

    def _save(self) -> None:
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="qnn-sd")
        model.ir_version = IR_VERSION
        onnx.save_model(model, self._folder / MODEL_FILE)
