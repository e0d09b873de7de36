"""An EPContext model written by hand: what makes ONNX Runtime run a raw context binary.

One node, whose inputs and outputs are those of a graph in the binary. With several graphs its name must be that
graph's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from qnn_sd.binaries.binary_info import BinaryGraph, BinaryTensor
from qnn_sd.compile.epcontext_model import IR_VERSION
from qnn_sd.errors import BinaryError
from qnn_sd.in_words import shown

# QNN's types by ONNX's; quantized ones are integers to ONNX Runtime.
_TYPES = {
    **{f"{kind}{bits}": getattr(TensorProto, f"INT{bits}") for kind in ("int", "sfixed") for bits in (8, 16, 32)},
    **{f"{kind}{bits}": getattr(TensorProto, f"UINT{bits}") for kind in ("uint", "ufixed") for bits in (8, 16, 32)},
    **{"int64": TensorProto.INT64, "uint64": TensorProto.UINT64, "bool8": TensorProto.BOOL},
    **{"float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE},
}
_OPSET = 21


def onnx_type(tensor: BinaryTensor) -> int:
    """ONNX's type of a tensor.

    Raises:
        BinaryError: it has none here.
    """
    if tensor.dtype not in _TYPES:
        raise BinaryError(
            f"The tensor {shown(tensor.name)} can't be fed here",
            why=f"Its type is {tensor.dtype}.",
            hint="qnn-net-run of the QAIRT SDK runs such a binary.",
        )
    return int(_TYPES[tensor.dtype])


def numpy_type(tensor: BinaryTensor) -> np.dtype[np.generic]:
    """Numpy's type of a tensor as the binary takes or gives it."""
    return np.dtype(helper.tensor_dtype_to_np_dtype(onnx_type(tensor)))


def context_node(
    graph: BinaryGraph, binary: str, inputs: Sequence[str], outputs: Sequence[str], build_id: str = ""
) -> onnx.NodeProto:
    """The EPContext node that runs a graph.

    Args:
        graph: of the binary.
        binary: name of its file, which is in the folder of the model.
        inputs: names for its inputs, in the binary's order.
        outputs: names for its outputs, likewise.
        build_id: of the QAIRT that compiled it; empty to leave it unsaid.
    """
    more = {"ep_sdk_version": build_id} if build_id else {}
    return helper.make_node(
        "EPContext",
        list(inputs),
        list(outputs),
        name=graph.name,
        domain="com.microsoft",
        main_context=1,
        embed_mode=0,
        ep_cache_context=binary,
        source="QNN",
        **more,
    )


def save_model(graph: onnx.GraphProto, path: Path) -> None:
    """Writes a model with an EPContext node."""
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), str(path))


def write_raw_model(graph: BinaryGraph, binary: str, path: Path) -> None:
    """Writes the model.

    Args:
        graph: of the binary.
        binary: name of its file, which is in the folder of ``path``.
        path: the file to write.
    """
    inputs, outputs = (
        [helper.make_tensor_value_info(each.name, onnx_type(each), each.dims) for each in tensors]
        for tensors in (graph.inputs, graph.outputs)
    )
    node = context_node(graph, binary, [each.name for each in graph.inputs], [each.name for each in graph.outputs])
    save_model(helper.make_graph([node], "raw", inputs, outputs), path)


def to_integers(tensor: BinaryTensor, values: NDArray[np.floating]) -> NDArray[np.generic]:
    """Values as the binary takes them: rounded to its encoding, or cast to its type."""
    dtype, encoding = numpy_type(tensor), tensor.encoding
    if encoding is None or encoding.scale is None or encoding.offset is None:
        return np.asarray(values).astype(dtype)
    limits = np.iinfo(str(dtype))
    rounded = np.rint(np.asarray(values, np.float64) / encoding.scale) - encoding.offset
    integers: NDArray[np.generic] = np.clip(rounded, limits.min, limits.max).astype(dtype)
    return integers


def to_values(tensor: BinaryTensor, integers: NDArray[np.generic]) -> NDArray[np.generic]:
    """What the binary's numbers stand for: ``scale * (integer + offset)``, float32; others as they are."""
    encoding = tensor.encoding
    if encoding is None or encoding.scale is None or encoding.offset is None:
        return integers
    return ((integers.astype(np.float64) + encoding.offset) * encoding.scale).astype(np.float32)
