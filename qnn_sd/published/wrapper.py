"""The ONNX file that gives a published binary the inputs and outputs of our component: ``wrapped_binary.py``.

Values go in as float32, [1, C, H, W]; they come out so, with the range that our component has. Between them and the
binary's own tensors stand, in this order: Reshape or Transpose to its dims, QuantizeLinear with its encoding (or a
Cast where it has none); behind it DequantizeLinear, Transpose, and the contract's Mul and Add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from qnn_sd.binaries.binary_info import BinaryTensor
from qnn_sd.binaries.raw_node import context_node, numpy_type, onnx_type, save_model
from qnn_sd.bundle_manifest import WrappedIO, WrappedTensor
from qnn_sd.published.checks import CheckedBinary
from qnn_sd.published.contract import CONTRACTS, NAME, TensorContract
from qnn_sd.wrapped_binary import PREFIX

# From [n, c, h, w] to [n, h, w, c], and back.
_TO_CHANNEL_LAST, _TO_CHANNEL_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass
class _Graph:
    """What the file's graph gets, node by node."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, values: ArrayLike) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def chain(self, start: str, end: str, steps: Sequence[tuple[str, Sequence[str], dict[str, object]]]) -> None:
        """Nodes one behind the other: op, further inputs and attributes of each."""
        names = [start, *(f"{end}/{number}" for number in range(1, len(steps))), end]
        for (op, more, attributes), value, result in zip(steps, names, names[1:], strict=False):
            self.nodes.append(
                helper.make_node(op, [value, *more], [result], name=f"{result}/{op}", **attributes)  # type: ignore[arg-type]
            )


def write_wrapper(checked: CheckedBinary, path: Path) -> WrappedIO:
    """Writes the file; returns what a bundle says of it.

    Args:
        checked: the binary; its file is in the folder of ``path``.
        path: the file to write.

    Raises:
        BinaryError: a tensor of a type that ONNX has not.
    """
    contract, graph = CONTRACTS[checked.component], _Graph()
    by_published = {each.published: each for each in (*contract.inputs, *contract.outputs)}
    ins = [_enter(graph, by_published[each.name], each) for each in checked.graph.inputs]
    # In the binary's order: the plugin takes names that it doesn't know by their place.
    node = context_node(
        checked.graph,
        checked.path.name,
        [f"{PREFIX}{each.name}" for each in checked.graph.inputs],
        [f"{PREFIX}{each.name}" for each in checked.graph.outputs],
        checked.info.build_id,
    )
    graph.nodes.append(node)
    outs = [_leave(graph, by_published[each.name], each) for each in checked.graph.outputs]
    inside = [
        helper.make_tensor_value_info(f"{PREFIX}{each.name}", onnx_type(each), each.dims)
        for each in (*checked.graph.inputs, *checked.graph.outputs)
    ]
    save_model(
        helper.make_graph(
            graph.nodes,
            "wrapped",
            [info for info, _ in ins],
            [info for info, _ in outs],
            graph.constants,
            value_info=inside,
        ),
        path,
    )
    return WrappedIO(contract=NAME, inputs=[said for _, said in ins], outputs=[said for _, said in outs])


def _own_dims(contract: TensorContract, tensor: BinaryTensor) -> list[int]:
    """The dims that our component has."""
    dims = tensor.dims
    if contract.axes == len(dims):
        return [dims[0], dims[3], dims[1], dims[2]] if _is_channel_last(contract, tensor) else list(dims)
    return [int(np.prod(dims))]


def _is_channel_last(contract: TensorContract, tensor: BinaryTensor) -> bool:
    return contract.channels is not None and tensor.dims[3] == contract.channels


def _enter(graph: _Graph, contract: TensorContract, tensor: BinaryTensor) -> tuple[onnx.ValueInfoProto, WrappedTensor]:
    """From our component's input to the binary's."""
    steps: list[tuple[str, Sequence[str], dict[str, object]]] = []
    inner, dims = f"{PREFIX}{tensor.name}", _own_dims(contract, tensor)
    if _is_channel_last(contract, tensor):
        steps.append(("Transpose", (), {"perm": _TO_CHANNEL_LAST}))
    elif dims != tensor.dims:
        steps.append(("Reshape", (graph.constant(f"{inner}/dims", np.array(tensor.dims, np.int64)),), {}))
    is_tokens = contract.own == "input_ids"
    if encoding := _encoding(graph, inner, tensor):
        steps.append(("QuantizeLinear", encoding, {}))
    elif onnx_type(tensor) != (TensorProto.INT32 if is_tokens else TensorProto.FLOAT):
        steps.append(("Cast", (), {"to": onnx_type(tensor)}))
    graph.chain(contract.own, inner, steps or [("Identity", (), {})])
    kind = TensorProto.INT32 if is_tokens else TensorProto.FLOAT
    info = helper.make_tensor_value_info(contract.own, kind, dims)
    return info, WrappedTensor(name=contract.own, binary=tensor.name, steps=[op for op, _, _ in steps])


def _leave(graph: _Graph, contract: TensorContract, tensor: BinaryTensor) -> tuple[onnx.ValueInfoProto, WrappedTensor]:
    """From the binary's output to our component's."""
    steps: list[tuple[str, Sequence[str], dict[str, object]]] = []
    inner = f"{PREFIX}{tensor.name}"
    if encoding := _encoding(graph, inner, tensor):
        steps.append(("DequantizeLinear", encoding, {}))
    elif onnx_type(tensor) != TensorProto.FLOAT:
        steps.append(("Cast", (), {"to": TensorProto.FLOAT}))
    if _is_channel_last(contract, tensor):
        steps.append(("Transpose", (), {"perm": _TO_CHANNEL_FIRST}))
    if (contract.multiply, contract.add) != (1.0, 0.0):
        steps.append(("Mul", (graph.constant(f"{inner}/multiply", np.float32(contract.multiply)),), {}))
        steps.append(("Add", (graph.constant(f"{inner}/add", np.float32(contract.add)),), {}))
    graph.chain(inner, contract.own, steps or [("Identity", (), {})])
    info = helper.make_tensor_value_info(contract.own, TensorProto.FLOAT, _own_dims(contract, tensor))
    return info, WrappedTensor(name=contract.own, binary=tensor.name, steps=[op for op, _, _ in steps])


def _encoding(graph: _Graph, inner: str, tensor: BinaryTensor) -> tuple[str, str] | None:
    """Names of the constants with scale and zero point, as ONNX has them; None for what isn't quantized."""
    encoding = tensor.encoding
    if encoding is None or encoding.scale is None or encoding.offset is None:
        return None
    # QNN: scale * (integer + offset). ONNX: scale * (integer - zero point).
    zero_point = np.asarray(-encoding.offset).astype(numpy_type(tensor))
    scale = graph.constant(f"{inner}/scale", np.float32(encoding.scale))
    return scale, graph.constant(f"{inner}/zero_point", zero_point)
