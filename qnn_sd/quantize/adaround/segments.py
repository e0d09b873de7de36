"""Runs a QDQ graph piece by piece, for all samples, keeping only what later pieces read.

A piece ends where the input of the next layer is known. So each layer can be rounded knowing exactly what the layers
before it, rounded already, will feed it, and yet every node runs once a sample. Between pieces tensors lie on disk as
the integers that they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qnn_sd.onnx_files import load_structure
from qnn_sd.quantize.in_memory import session_of
from qnn_sd.runner import Feeds

_QUANTIZE = "QuantizeLinear"


class _StoredTensor:
    """One tensor of every sample, in a file.

    Not a memory map: where the disk is full, writing to one ends the process without a word.

    Args:
        path: of the file, which isn't there yet.
        like: an array of its type and shape.
    """

    def __init__(self, path: Path, like: NDArray[Any]) -> None:
        self.path, self.dtype, self.shape = path, like.dtype, like.shape
        self._bytes = like.nbytes

    def append(self, array: NDArray[Any]) -> None:
        """Writes the next sample's."""
        with self.path.open("ab") as file:
            file.write(np.ascontiguousarray(array).data)

    def __getitem__(self, sample: int) -> NDArray[Any]:
        offset = sample * self._bytes
        return np.fromfile(self.path, self.dtype, self._bytes // self.dtype.itemsize, offset=offset).reshape(self.shape)


class SegmentRunner:
    """One pass of all samples through a QDQ graph, halting wherever it is told to.

    Args:
        folder: of the QDQ graph.
        samples: feeds by input name.
        rounded: integers to take for weights, by the name of their initializer, instead of the folder's; may grow
            between two calls.
        work: an empty folder for what lies between pieces.
    """

    def __init__(
        self, folder: Path, samples: Sequence[Feeds], rounded: Mapping[str, NDArray[np.int8]], work: Path
    ) -> None:
        self._folder, self._samples, self._rounded, self._work = folder, samples, rounded, work
        self._model = load_structure(folder)
        graph = self._model.graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._inputs = {value.name: value for value in graph.input}
        self._producer = {name: index for index, node in enumerate(graph.node) for name in node.output}
        self._readers: dict[str, list[int]] = {}
        for index, node in enumerate(graph.node):
            for name in node.input:
                self._readers.setdefault(name, []).append(index)
        self._done: set[int] = set()
        self._stored: dict[str, _StoredTensor] = {}

    def reach(self, activation: str) -> None:
        """Runs what is needed to know an activation, for every sample; drops what nobody will read any more.

        Args:
            activation: output of its DequantizeLinear.
        """
        target = self._graph_node(activation).input[0]
        piece = self._closure(target)
        self._done |= piece
        fresh = [
            node.output[0]
            for index in sorted(piece)
            if (node := self._model.graph.node[index]).op_type == _QUANTIZE
            and node.output[0] not in self._stored
            and (node.output[0] == target or self._is_read_later(node.output[0]))
        ]
        if fresh:
            self._run(sorted(piece), fresh)
        for name in [name for name in self._stored if name != target and not self._is_read_later(name)]:
            self._drop(name)

    def values(self, activation: str) -> Iterator[NDArray[np.float32]]:
        """An activation that was reached, for each sample in turn: float32, its own shape."""
        node = self._graph_node(activation)
        scale, zero = (numpy_helper.to_array(self._constants[name]) for name in node.input[1:3])
        stored = self._stored[node.input[0]]
        for number in range(len(self._samples)):
            yield (stored[number].astype(np.float32) - np.float32(zero)) * np.float32(scale)

    def close(self) -> None:
        """Removes what lies on disk."""
        for name in list(self._stored):
            self._drop(name)

    def _graph_node(self, output: str) -> onnx.NodeProto:
        node: onnx.NodeProto = self._model.graph.node[self._producer[output]]
        return node

    def _closure(self, target: str) -> set[int]:
        """The nodes that compute a tensor from stored ones, graph inputs and constants."""
        found: set[int] = set()
        todo = [target]
        while todo:
            name = todo.pop()
            index = self._producer.get(name)
            if index is None or name in self._stored or index in found:
                continue
            found.add(index)
            todo += [each for each in self._model.graph.node[index].input if each]
        return found

    def _is_read_later(self, integers: str) -> bool:
        """Whether a node that hasn't run reads the activation behind these integers."""
        for index in self._readers.get(integers, ()):
            output = self._model.graph.node[index].output[0]
            readers = self._readers.get(output, ())
            if any(reader not in self._done for reader in readers):
                return True
        return False

    def _run(self, piece: Sequence[int], outputs: Sequence[str]) -> None:
        nodes = [self._model.graph.node[index] for index in piece]
        read = {name for node in nodes for name in node.input if name}
        inputs = [self._inputs[name] for name in sorted(read & self._inputs.keys())]
        kept = sorted(read & self._stored.keys())
        for name in kept:
            stored = self._stored[name]
            inputs.append(
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(stored.dtype), stored.shape)
            )
        constants = [self._constant(name) for name in sorted(read & self._constants.keys())]
        ends = [helper.make_tensor_value_info(name, self._dtype(name), None) for name in outputs]
        model = helper.make_model(
            helper.make_graph(nodes, "piece", inputs, ends, constants), opset_imports=self._model.opset_import
        )
        model.ir_version = self._model.ir_version
        session = session_of(model, self._folder)
        fed = [value.name for value in inputs if value.name in self._inputs]
        for number, feeds in enumerate(self._samples):
            given = {name: feeds[name] for name in fed} | {name: self._stored[name][number] for name in kept}
            for name, found in zip(outputs, session.run(list(outputs), given), strict=True):
                if name not in self._stored:
                    self._stored[name] = _StoredTensor(self._work / str(self._producer[name]), found)
                self._stored[name].append(found)

    def _constant(self, name: str) -> onnx.TensorProto:
        if name in self._rounded:
            return numpy_helper.from_array(np.ascontiguousarray(self._rounded[name]), name)
        tensor: onnx.TensorProto = self._constants[name]
        return tensor

    def _dtype(self, integers: str) -> int:
        return int(self._constants[self._graph_node(integers).input[2]].data_type)

    def _drop(self, name: str) -> None:
        self._stored.pop(name).path.unlink()
