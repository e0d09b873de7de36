"""Parts of a QDQ graph as graphs of their own: its blocks by name, or what lies between named tensors."""

from __future__ import annotations

import functools
import math
import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import onnx
from onnx import external_data_helper, helper

from qnn_sd.errors import SettingError
from qnn_sd.onnx_files import MODEL_FILE, ExternalData, load_structure, read_array

_PAIR = ("QuantizeLinear", "DequantizeLinear")
# What a network's author would call a block: the checkpoint's names say so, in our graphs with dots,
# in a tracer's with slashes.
_BLOCK = re.compile(r"^(.*?(?:resnets|attentions|layers|upsamplers|downsamplers)[./]\d+)(?=[./]|$)")
_LEVEL = re.compile(r"^(.*?(?:down_blocks|up_blocks)[./]\d+|.*?mid_block)(?=[./]|$)")


def block_name(node: str) -> str:
    """The block that a node belongs to, by its name."""
    return _named(node, _BLOCK)


def level_name(node: str) -> str:
    """The level (resolution) that a node belongs to, by its name."""
    return _named(node, _LEVEL)


def _named(node: str, kind: re.Pattern[str]) -> str:
    if match := kind.match(node):
        return match[1]
    match = _LEVEL.match(node)
    return match[1] if match else re.split(r"[./]", node.lstrip("/"))[0]


class QdqGraph:
    """A QDQ graph's structure: who makes and who reads each tensor.

    Args:
        folder: of the QDQ model.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = load_structure(folder)
        graph = self.model.graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.maker = {output: node for node in graph.node for output in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.readers[name].append(node)
        self.ops = [node for node in graph.node if node.op_type not in _PAIR]
        self._outputs = {value.name for value in graph.output}
        self._inputs = {value.name for value in graph.input}

    @functools.cached_property
    def values(self) -> Mapping[str, onnx.ValueInfoProto]:
        """Type and shape of every tensor."""
        graph = onnx.shape_inference.infer_shapes(self.model).graph
        return {value.name: value for value in (*graph.value_info, *graph.input, *graph.output)}

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's static shape.

        Raises:
            KeyError: no shape is known of it.
        """
        if name in self.constants:
            return tuple(self.constants[name].dims)
        return tuple(size.dim_value for size in self.values[name].type.tensor_type.shape.dim)

    def external_files(self) -> dict[str, int]:
        """The files beside the model that hold its weights, and how many bytes of each it reads at least."""
        needed: dict[str, int] = {}
        for tensor in self.constants.values():
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                info = external_data_helper.ExternalDataInfo(tensor)
                size = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
                length = info.length or math.prod(tensor.dims) * size
                needed[info.location] = max(needed.get(info.location, 0), (info.offset or 0) + length)
        return needed

    def save(self, folder: Path) -> None:
        """Writes the graph with a copy of its external data.

        Args:
            folder: existing empty folder.
        """
        for name in self.external_files():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            # No link: onnx refuses to load a user's graph while its data has another name.
            shutil.copyfile(self.folder / name, folder / name)
        onnx.save_model(self.model, folder / MODEL_FILE)

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is an initializer, or one dequantized."""
        while name in self.maker and self.maker[name].op_type in _PAIR:
            name = self.maker[name].input[0]
        return name in self.constants or (name in self.maker and self.maker[name].op_type == "Constant")

    def float_tensor(self, name: str) -> str:
        """The tensor before its QuantizeLinear, by its name there, in the float graph, or behind the pair.

        Raises:
            SettingError: there is no such tensor.
        """
        for candidate in (f"{name}.raw", name, f"{name}.dq"):
            while candidate in self.maker and self.maker[candidate].op_type in _PAIR:
                candidate = self.maker[candidate].input[0]  # noqa: PLW2901
            if candidate in self.maker or candidate in self._inputs:
                return candidate
        raise SettingError(
            f"The graph in {self.folder} has no tensor {name!r}", hint="Take a name from the float graph's nodes."
        )

    def grouped(self, by_level: bool = False) -> dict[str, list[onnx.NodeProto]]:
        """The ops of each block (or of each level), in the graph's order."""
        groups: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.ops:
            name = node.name or node.output[0]
            groups[level_name(name) if by_level else block_name(name)].append(node)
        return dict(groups)

    def between(self, inputs: Iterable[str], outputs: Iterable[str]) -> list[onnx.NodeProto]:
        """The ops on the way from some tensors to others; the way stops at the inputs.

        Raises:
            SettingError: a name that isn't there, or names with nothing between them.
        """
        stops = {self.float_tensor(name) for name in inputs}
        pending, seen = [self.float_tensor(name) for name in outputs], set()
        while pending:
            name = pending.pop()
            if name in seen or name in stops or name not in self.maker:
                continue
            seen.add(name)
            pending.extend(self.maker[name].input)
        ops = [node for node in self.ops if seen.intersection(node.output)]
        if not ops:
            raise SettingError("Nothing lies between the named tensors", hint="Name the inputs before the outputs.")
        return ops

    def extract(self, ops: Iterable[onnx.NodeProto], folder: Path, outputs: Iterable[str] | None = None) -> list[str]:
        """Writes some ops as a QDQ graph of their own, with the weights that they need.

        What they read of others becomes an input, and what others read of them an output, each with
        its QuantizeLinear and DequantizeLinear, as at the ends of the whole graph.

        Args:
            ops: nodes of this graph, none of them a QuantizeLinear or DequantizeLinear.
            folder: existing empty folder.
            outputs: what becomes an output instead, by the names under which ops read it.

        Returns:
            Names of the part's inputs: graph inputs, or what another op computes, before its QuantizeLinear.
        """
        chosen = {node.output[0] for node in ops}
        kept: set[str] = set()
        inputs: dict[str, None] = {}
        constants: dict[str, None] = {}

        def pull(name: str) -> None:
            if name in self.constants:
                constants[name] = None
            elif name in self._inputs or self._foreign(name, chosen):
                inputs[name] = None
            elif name and name not in kept and self.maker[name].op_type in (*_PAIR, "Constant"):
                kept.add(name)
                for read in self.maker[name].input:
                    pull(read)

        seen: dict[str, None] = {}
        for node in self.ops:
            if node.output[0] in chosen:
                kept.add(node.output[0])
                for name in node.input:
                    pull(name)
                seen.update(dict.fromkeys(self.read_outside([node], chosen)))
        ends = list(seen if outputs is None else outputs)
        for name in ends:
            pull(name)
        data = ExternalData(folder)
        initializers = [data.add(name, read_array(self.constants[name], self.folder)) for name in constants]
        data.close()
        graph = helper.make_graph(
            [node for node in self.model.graph.node if node.output[0] in kept],
            "part",
            [self.values[name] for name in inputs],
            [self.values[name] for name in ends],
            initializers,
        )
        model = helper.make_model(graph, opset_imports=self.model.opset_import, producer_name="qnn-sd")
        model.ir_version = self.model.ir_version
        onnx.save_model(model, folder / MODEL_FILE)
        return list(inputs)

    def read_outside(self, ops: Iterable[onnx.NodeProto], chosen: Collection[str]) -> list[str]:
        """Under which names other ops, or the whole graph's outputs, read what some ops compute.

        Args:
            ops: those that compute it.
            chosen: first outputs of the ops that don't count as others.
        """
        return [name for node in ops for made in node.output for name in self._seen_outside(made, chosen)]

    def _foreign(self, name: str, chosen: Collection[str]) -> bool:
        """Whether an op outside makes a tensor."""
        maker = self.maker.get(name)
        return maker is not None and maker.op_type not in (*_PAIR, "Constant") and maker.output[0] not in chosen

    def _seen_outside(self, name: str, chosen: Collection[str]) -> list[str]:
        """Under which names ops outside, or the whole graph's outputs, read a tensor."""
        found = [name] if name in self._outputs else []
        for reader in self.readers[name]:
            if reader.op_type not in _PAIR:
                if reader.output[0] not in chosen:
                    found.append(name)
            elif reader.op_type == "QuantizeLinear":
                for dequantized in self.readers[reader.output[0]]:
                    found.extend(self._seen_outside(dequantized.output[0], chosen))
        return found
