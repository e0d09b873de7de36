"""Runs a graph piece by piece, for all samples, keeping only what later pieces read.

A piece ends where the input of the next layer is known. So each layer can be rounded knowing exactly what the layers
before it, rounded already, will feed it, and yet every node runs once a sample. Between pieces tensors lie on disk: of
the QDQ graph as the integers that they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qnn_sd.interruption import run_session
from qnn_sd.onnx_files import load_structure
from qnn_sd.quantize.encodings import Integers
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.reference import reference_session
from qnn_sd.runner import Feeds

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


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


class _SegmentRunner:
    """One pass of all samples through a graph, which stops at each activation that is asked for.

    Args:
        model: the graph.
        folder: of its external tensors.
        samples: feeds by input name.
        cuts: ONNX's data type of each tensor that may lie between two pieces; any other is computed again.
        work: an empty folder for what lies between pieces.
    """

    def __init__(
        self, model: onnx.ModelProto, folder: Path, samples: Sequence[Feeds], cuts: Mapping[str, int], work: Path
    ) -> None:
        self._model, self._folder, self._samples, self._cuts, self._work = model, folder, samples, cuts, work
        graph = self._model.graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._inputs = {value.name: value for value in graph.input}
        self._producer = {name: index for index, node in enumerate(graph.node) for name in node.output}
        self._readers: dict[str, list[int]] = {}
        for index, node in enumerate(graph.node):
            for name in node.input:
                self._readers.setdefault(name, []).append(index)
        self._done: set[int] = set()
        self._files = count()
        self._stored: dict[str, _StoredTensor] = {}

    def close(self) -> None:
        """Removes what lies on disk."""
        for name in list(self._stored):
            self._drop(name)

    def _reach(self, target: str) -> None:
        piece = self._closure(target)
        self._done |= piece
        outputs = [
            name
            for index in sorted(piece)
            for name in self._model.graph.node[index].output
            if name in self._cuts and name not in self._stored and (name == target or self._is_read_later(name))
        ]
        if outputs:
            self._run(sorted(piece), outputs)
        for name in [name for name in self._stored if name != target and not self._is_read_later(name)]:
            self._drop(name)

    def _constant(self, name: str) -> onnx.TensorProto:
        tensor: onnx.TensorProto = self._constants[name]
        return tensor

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
            todo += [read for read in self._model.graph.node[index].input if read]
        return found

    def _is_read_later(self, name: str) -> bool:
        """Whether a node that hasn't run reads a tensor, or the activation behind stored integers."""
        for index in self._readers.get(name, ()):
            node = self._model.graph.node[index]
            readers = self._readers.get(node.output[0], ()) if node.op_type == _DEQUANTIZE else (index,)
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
        ends = [helper.make_tensor_value_info(name, self._cuts[name], None) for name in outputs]
        model = helper.make_model(
            helper.make_graph(nodes, "piece", inputs, ends, constants), opset_imports=self._model.opset_import
        )
        model.ir_version = self._model.ir_version
        session = reference_session(model, folder=self._folder, in_order=True)
        fed = [value.name for value in inputs if value.name in self._inputs]
        for number, feeds in enumerate(self._samples):
            given = {name: feeds[name] for name in fed} | {name: self._stored[name][number] for name in kept}
            for name, found in zip(outputs, run_session(session, list(outputs), given), strict=True):
                if name not in self._stored:
                    self._stored[name] = _StoredTensor(self._work / str(next(self._files)), found)
                self._stored[name].append(found)

    def _drop(self, name: str) -> None:
        self._stored.pop(name).path.unlink()


class QdqSegments(_SegmentRunner):
    """A pass through a QDQ graph.

    Args:
        folder: of the QDQ graph.
        samples: feeds by input name.
        rounded: integers to take for weights, by the name of their initializer, instead of the folder's; may grow
            between two calls.
        work: an empty folder for what lies between pieces.
    """

    def __init__(self, folder: Path, samples: Sequence[Feeds], rounded: Mapping[str, Integers], work: Path) -> None:
        model = load_structure(folder)
        types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        cuts = {node.output[0]: types[node.input[2]] for node in model.graph.node if node.op_type == _QUANTIZE}
        super().__init__(model, folder, samples, cuts, work)
        self._rounded = rounded

    def reach(self, activation: str) -> None:
        """Runs what is needed to know an activation, for every sample; drops what no later piece reads.

        Args:
            activation: output of its DequantizeLinear.
        """
        self._reach(self._dequantize(activation).input[0])

    def values(self, activation: str) -> Iterator[NDArray[np.float32]]:
        """An activation that was reached, for each sample in turn: float32, its own shape."""
        node = self._dequantize(activation)
        scale, zero = (numpy_helper.to_array(self._constants[name]) for name in node.input[1:3])
        stored = self._stored[node.input[0]]
        for number in range(len(self._samples)):
            yield (stored[number].astype(np.float32) - np.float32(zero)) * np.float32(scale)

    def _dequantize(self, output: str) -> onnx.NodeProto:
        node: onnx.NodeProto = self._model.graph.node[self._producer[output]]
        return node

    def _constant(self, name: str) -> onnx.TensorProto:
        stored = super()._constant(name)
        if name not in self._rounded:
            return stored
        dtype = helper.tensor_dtype_to_np_dtype(stored.data_type)
        return numpy_helper.from_array(np.ascontiguousarray(self._rounded[name], dtype), name)


class FloatSegments(_SegmentRunner):
    """A pass through a float graph.

    Args:
        graph: the float graph.
        samples: feeds by input name.
        work: an empty folder for what lies between pieces.
    """

    def __init__(self, graph: FloatGraph, samples: Sequence[Feeds], work: Path) -> None:
        cuts = dict.fromkeys(graph.roles.floats, onnx.TensorProto.FLOAT)
        super().__init__(graph.model, graph.folder, samples, cuts, work)

    def reach(self, activation: str) -> None:
        """Runs what is needed to know an activation, for every sample; drops what no later piece reads."""
        self._reach(activation)

    def values(self, activation: str) -> Iterator[NDArray[np.float32]]:
        """An activation that was reached, or an input, for each sample in turn: float32, its own shape."""
        for number, feeds in enumerate(self._samples):
            yield feeds[activation] if activation in self._inputs else self._stored[activation][number]
