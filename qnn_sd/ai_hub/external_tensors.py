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
    name = shown(tensor.name) or "a tensor without a name"
    try:
        information = external_data_helper.ExternalDataInfo(tensor)
    except ValueError as error:
        raise _incomplete(model, f"{name} is at no place in a file: {shown(error)}.") from error
    where = shown(information.location)
    if leads_out(information.location):
        raise _incomplete(model, f"{name} is in {where}, outside the model's folder.")
    file = model.parent / information.location
    if not file.is_file():
        raise _incomplete(model, f"{name} is in {where}, which isn't beside it.")
    if not is_inside(file, model):
        raise _incomplete(model, f"{name} is in {where}, a link that leads outside the model's folder.")
    if file.resolve() == model.resolve():
        raise _incomplete(model, f"{name} is in {where}, which is the model itself.")
    if any(each < 0 for each in tensor.dims):
        raise _incomplete(model, f"{name} has the dims {list(tensor.dims)}.")
    offset = information.offset or 0
    whole = math.ceil(math.prod(tensor.dims) * element_bits(tensor.data_type) / 8)
    length = whole if information.length is None else information.length
    if offset + length > file.stat().st_size or length < whole:
        raise _incomplete(model, f"{name} has {whole:,} bytes; {where} ends before them.")
    return Place(file.resolve(), offset, length)


def is_inside(file: Path, model: Path) -> bool:
    """Whether a file is in the model's folder once links are followed.

    Download caches have links to files in a folder of their own. There the model is one, too: a file beside the one
    that it leads to belongs to it as well.

    Args:
        file: that the model refers to.
        model: its file.
    """
    folders = (model.parent.resolve(), model.resolve().parent)
    return any(file.resolve().is_relative_to(each) for each in folders)


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
