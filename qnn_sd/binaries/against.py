"""A reference for somebody's context binary: its QDQ or float ONNX graph, run on the CPU with the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from qnn_sd.binaries.binary_info import BinaryGraph, BinaryTensor
from qnn_sd.errors import BinaryError
from qnn_sd.in_words import shown
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.reference import check_reference, outputs_of, reference_session
from qnn_sd.runner import Feeds, Outputs

# From [n, c, h, w] to [n, h, w, c] and back.
_ORDERS = ((0, 2, 3, 1), (0, 3, 1, 2))


@dataclass(frozen=True)
class ReferenceGraph:
    """An ONNX graph to compare with.

    Attributes:
        path: its file.
        kind: whether its quantization is written out.
    """

    path: Path
    kind: Literal["QDQ graph", "float graph"]


def reference_of(place: Path, names: Sequence[str]) -> ReferenceGraph:
    """The graph in a place: a file, ``model.onnx`` in a folder, or in the folder of a network in it.

    Args:
        place: what was named.
        names: of the folder of a network, the likeliest first.

    Raises:
        BinaryError: there is none, or it can't be read.
    """
    folders = [place, *(place / name / inner for name in names for inner in ("", "cpu"))]
    candidates = [place] if place.is_file() else [each / MODEL_FILE for each in folders]
    path = next((each for each in candidates if each.is_file()), None)
    if path is None:
        listed = " or ".join(f"{name}/{MODEL_FILE}" for name in names)
        raise BinaryError(
            f"{place} has no graph to compare with",
            why=f"Looked for {MODEL_FILE}{f' and {listed}' if listed else ''}.",
            hint="Give --against the ONNX file that the binary was compiled from, or its folder.",
        )
    try:
        ops = {node.op_type for node in onnx.load(str(path), load_external_data=False).graph.node}
    except Exception as error:  # protobuf's own error is not importable everywhere
        why = shown((str(error).splitlines() or [type(error).__name__])[0])
        raise BinaryError(f"{path} can't be read as ONNX", why=why, hint="Give the graph, an .onnx file.") from error
    if "EPContext" in ops:
        raise BinaryError(
            f"{path} is no graph to compare with",
            why="It is an EPContext model: a compiled one.",
            hint="Give --against the graph that it was compiled from.",
        )
    return ReferenceGraph(path, "QDQ graph" if "DequantizeLinear" in ops else "float graph")


def run_reference(reference: ReferenceGraph, graph: BinaryGraph, samples: Sequence[Feeds]) -> list[Outputs]:
    """What the graph answers, in the shapes of the binary's outputs and by their names.

    Args:
        reference: the graph.
        graph: of the binary.
        samples: values by name of the binary's inputs.

    Raises:
        BinaryError: it has other inputs or outputs: it isn't the graph of this binary.
        VerificationError: this ONNX Runtime's runs are no reference.
    """
    check_reference()
    session = reference_session(reference.path)
    inputs = _matched(reference, graph.inputs, session.get_inputs(), "inputs")
    outputs = _matched(reference, graph.outputs, session.get_outputs(), "outputs")
    answers: list[Outputs] = []
    for sample in samples:
        feeds = {
            node.name: _fitted(reference, tensor, sample[tensor.name], node.shape).astype(_numpy(node.type))
            for tensor, node in inputs
        }
        found = outputs_of(session, feeds)
        answers.append(
            {tensor.name: _fitted(reference, tensor, found[node.name], tensor.dims) for tensor, node in outputs}
        )
    return answers


def _matched(
    reference: ReferenceGraph, tensors: Sequence[BinaryTensor], nodes: Sequence[onnxruntime.NodeArg], what: str
) -> list[tuple[BinaryTensor, onnxruntime.NodeArg]]:
    """By name; where no name is the same, by their order."""
    by_name = {node.name: node for node in nodes}
    if all(tensor.name in by_name for tensor in tensors):
        return [(tensor, by_name[tensor.name]) for tensor in tensors]
    if len(tensors) == len(nodes) and not any(tensor.name in by_name for tensor in tensors):
        return list(zip(tensors, nodes, strict=True))
    own, others = ", ".join(each.name for each in tensors), ", ".join(by_name)
    raise _another(reference, f"It has the {what} {shown(others)}, the binary {shown(own)}.")


def _fitted(
    reference: ReferenceGraph, tensor: BinaryTensor, array: NDArray[np.generic], dims: Sequence[object]
) -> NDArray[np.generic]:
    """The array in other dims, if these are its own or those of the other layout; a symbolic dim is any."""
    for turned in (array, *(array.transpose(order) for order in _ORDERS if array.ndim == 4)):
        if len(dims) == turned.ndim and all(
            not isinstance(dim, int) or dim == size for dim, size in zip(dims, turned.shape, strict=True)
        ):
            return turned
    here, there = "x".join(map(str, array.shape)), "x".join(map(str, dims))
    raise _another(reference, f"{shown(tensor.name)} is {here} on one side and {there} on the other.")


def _another(reference: ReferenceGraph, why: str) -> BinaryError:
    return BinaryError(
        f"{reference.path} isn't the graph of this binary",
        why=why,
        hint="Give --against the ONNX file that it was compiled from.",
    )


def _numpy(kind: str) -> np.dtype[np.generic]:
    """Of ONNX Runtime's name of a type, such as ``tensor(float16)``."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))
