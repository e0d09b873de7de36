"""The tensors of an ONNX model whose values are in files beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from onnx import TensorProto, external_data_helper

from qnn_sd.errors import ArtifactError
from qnn_sd.in_words import shown
from qnn_sd.onnx_files import element_bits


@dataclass(frozen=True)
class Place:
    """Where a tensor's values are.

    Attributes:
        file: that holds them.
        offset: of the first byte.
        length: in bytes.
    """

    file: Path
    offset: int
    length: int


def external_tensors(model: onnx.ModelProto) -> list[TensorProto]:
    """All tensors with their values elsewhere: initializers and attributes, of subgraphs and functions too."""
    found = [
        *_of_graph(model.graph),
        *(each for one in model.functions for node in one.node for each in _of_node(node)),
    ]
    return [each for each in found if each.data_location == TensorProto.EXTERNAL]


def _of_graph(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _of_node(node)


def _of_node(node: onnx.NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from _of_graph(graph)


def place_of(tensor: TensorProto, model: Path) -> Place:
    """Where an external tensor's values are.

    Args:
        tensor: of the model.
        model: its file.

    Raises:
        ArtifactError: they aren't there.
    """
    information = external_data_helper.ExternalDataInfo(tensor)
    file = model.parent / information.location
    name = shown(tensor.name) or "a tensor without a name"
    if leads_out(information.location):
        raise _incomplete(model, f"{name} is in {shown(information.location)}, outside the model's folder.")
    if not file.is_file():
        raise _incomplete(model, f"{name} is in {shown(information.location)}, which isn't beside it.")
    offset = information.offset or 0
    whole = math.ceil(math.prod(tensor.dims) * element_bits(tensor.data_type) / 8)
    length = whole if information.length is None else information.length
    if offset + length > file.stat().st_size or length < whole:
        raise _incomplete(model, f"{name} has {whole:,} bytes; {shown(information.location)} ends before them.")
    return Place(file, offset, length)


def leads_out(reference: str) -> bool:
    """Whether a reference names a file outside the model's folder, or none."""
    posix, windows = PurePosixPath(reference), PureWindowsPath(reference)
    return not reference or posix.is_absolute() or windows.is_absolute() or ".." in (*posix.parts, *windows.parts)


def _incomplete(model: Path, why: str) -> ArtifactError:
    return ArtifactError(
        f"{model} lacks its weights",
        why=why,
        hint="Give the model in the folder with its weights: an .onnx alone is half of it.",
    )
