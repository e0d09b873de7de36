"""What a model's record says of a context binary: inputs, outputs, and where it runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qai_hub import public_api_pb2 as api

from qnn_sd.binaries.binary_info import BinaryInfo, BinaryTensor, read_binary
from qnn_sd.errors import BinaryError

_DTYPES = {
    "float32": api.TENSOR_DTYPE_FLOAT32,
    "float16": api.TENSOR_DTYPE_FLOAT16,
    "bool8": api.TENSOR_DTYPE_BOOL,
    "int64": api.TENSOR_DTYPE_INT64,
    **dict.fromkeys(("int32", "sfixed32"), api.TENSOR_DTYPE_INT32),
    **dict.fromkeys(("int16", "sfixed16"), api.TENSOR_DTYPE_INT16),
    **dict.fromkeys(("int8", "sfixed8"), api.TENSOR_DTYPE_INT8),
    **dict.fromkeys(("uint16", "ufixed16"), api.TENSOR_DTYPE_UINT16),
    **dict.fromkeys(("uint8", "ufixed8"), api.TENSOR_DTYPE_UINT8),
}


def describe(model: api.Model, binary: Path) -> None:
    """Adds what a context binary says of itself to its model's record; nothing where it can't be read."""
    try:
        info = read_binary(binary)
    except BinaryError:
        return
    model.ClearField("input_spec")
    model.ClearField("output_spec")
    with_graph = len(info.graphs) > 1
    for graph in info.graphs:
        name = graph.name if with_graph else None
        model.input_spec.types.extend(tensor_types(graph.inputs, name))
        model.output_spec.types.extend(tensor_types(graph.outputs, name))
    model.metadata.entries.update(_metadata(info))


def _metadata(info: BinaryInfo) -> dict[int, str]:
    levels = {str(each.optimization_level) for each in info.graphs if each.optimization_level is not None}
    vtcm = {str(each.vtcm_bytes // 2**20) for each in info.graphs if each.vtcm_bytes is not None}
    facts = {
        api.MODEL_METADATA_KEY_QNN_SDK_VERSION: info.build_id.removeprefix("v"),
        api.MODEL_METADATA_KEY_QAIRT_SDK_VERSION: info.build_id.removeprefix("v"),
        api.MODEL_METADATA_KEY_QNN_MODEL_GRAPH_NAMES: ",".join(each.name for each in info.graphs),
        api.MODEL_METADATA_KEY_QNN_CONTEXT_BIN_HEXAGON_VERSION: f"v{info.htp_arch}",
        api.MODEL_METADATA_KEY_QNN_CONTEXT_BIN_SOC_MODEL: str(info.soc_model),
        api.MODEL_METADATA_KEY_QNN_CONTEXT_BIN_BACKEND: "HTP",
        api.MODEL_METADATA_KEY_QNN_CONTEXT_BIN_VTCM: ",".join(sorted(vtcm)),
        api.MODEL_METADATA_KEY_QNN_CONTEXT_BIN_OPTIMIZATION_LEVEL: ",".join(sorted(levels)),
    }
    return {int(key): value for key, value in facts.items() if value}


def tensor_types(tensors: Iterable[BinaryTensor], graph: str | None = None) -> list[api.NamedTensorType]:
    """Tensors as the client takes them."""
    found = []
    for each in tensors:
        described = api.TensorType(shape=each.dims, dtype=_DTYPES.get(each.dtype, api.TENSOR_DTYPE_UNSPECIFIED))
        if each.encoding is not None and each.encoding.scale is not None and each.encoding.offset is not None:
            described.scale, described.zero_point = each.encoding.scale, float(-each.encoding.offset)
        named = api.NamedTensorType(name=each.name, tensor_type=described)
        if graph is not None:
            named.graph_name = graph
        found.append(named)
    return found
