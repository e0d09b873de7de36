"""A context binary that somebody else compiled from our graph: whether it is what was asked for.

Its file name says nothing, and a cloud has many jobs. So it is held against the graph that it was to be made of: names,
shapes and types of the inputs and outputs, the chip, the version of QAIRT.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from qnn_sd.binaries.binary_info import HTP_BACKEND, BinaryGraph, BinaryInfo, BinaryTensor, read_binary
from qnn_sd.binaries.network import network_of
from qnn_sd.binaries.raw_node import onnx_type, write_raw_model
from qnn_sd.errors import BinaryError
from qnn_sd.in_words import shown
from qnn_sd.toolchain import release

_MOST_PROBLEMS = 4


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        component: which network, such as ``unet``.
        graph: the ONNX graph that it is made of; its inputs and outputs are those of the binary.
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
        qairt: release of QAIRT that compiles it, such as ``2.50``.
        compiler: who compiles it, for messages, such as ``AI Hub``.
        hint: what to do where it is something else.
    """

    component: str
    graph: onnx.GraphProto
    soc_model: int
    htp_arch: int
    qairt: str
    compiler: str
    hint: str


def wrap_delivered(binary: Path, wrapper: Path, asked: Asked) -> BinaryInfo:
    """Checks a context binary and writes the EPContext model that ONNX Runtime opens it with.

    Args:
        binary: its file.
        wrapper: the model's file, in the same folder; its inputs and outputs are in the order of the graph.
        asked: what was asked for.

    Returns:
        What the binary says of itself.

    Raises:
        BinaryError: no context binary, or another one.
    """
    info = read_binary(binary)
    if problems := list(_problems(info, asked)):
        raise BinaryError(
            f"What {asked.compiler} compiled as {asked.component} isn't what was asked for",
            why=_sentence(problems[:_MOST_PROBLEMS]),
            hint=asked.hint,
        )
    [graph] = info.graphs
    ordered = graph.model_copy(
        update={
            "inputs": _ordered(graph.inputs, asked.graph.input),
            "outputs": _ordered(graph.outputs, asked.graph.output),
        }
    )
    write_raw_model(ordered, binary.name, wrapper)
    _name_version(wrapper, info.build_id)
    return info


def _sentence(problems: Sequence[str]) -> str:
    text = "; ".join(problems)
    return f"{text[0].upper()}{text[1:]}."


def _name_version(wrapper: Path, build_id: str) -> None:
    """Says in an EPContext model which QAIRT compiled its binary: staging for a phone reads it there."""
    model = onnx.load(str(wrapper), load_external_data=False)
    [node] = model.graph.node
    node.attribute.append(onnx.helper.make_attribute("ep_sdk_version", build_id))
    onnx.save(model, str(wrapper))


def _ordered(tensors: Sequence[BinaryTensor], values: Sequence[onnx.ValueInfoProto]) -> list[BinaryTensor]:
    by_name = {each.name: each for each in tensors}
    return [by_name[value.name] for value in values]


def _problems(info: BinaryInfo, asked: Asked) -> Iterator[str]:
    """In words, each as a part of a sentence."""
    if info.backend != HTP_BACKEND:
        yield f"it is for QNN's backend {info.backend}, and the HTP is {HTP_BACKEND}"
    if len(info.graphs) != 1:
        yield f"it holds {len(info.graphs)} graphs, and one was sent"
    else:
        yield from _graph_problems(info.graphs[0], asked)
    # An old QAIRT's binary doesn't name its chip.
    chip = (info.soc_model or asked.soc_model, info.htp_arch or asked.htp_arch)
    if chip != (asked.soc_model, asked.htp_arch):
        yield f"it is for soc_model {chip[0]}, HTP v{chip[1]}, not for {asked.soc_model}, v{asked.htp_arch}"
    if not info.build_id.removeprefix("v").startswith(f"{asked.qairt}."):
        yield f"QAIRT {_release(info.build_id)} compiled it, not {asked.qairt}"


def _release(build_id: str) -> str:
    try:
        return ".".join(map(str, release(build_id)))
    except ValueError:
        return shown(build_id)


def _graph_problems(graph: BinaryGraph, asked: Asked) -> list[str]:
    """What differs of the inputs and outputs; in one sentence where it is another network."""
    problems = [
        *_tensor_problems(graph.inputs, asked.graph.input, "input"),
        *_tensor_problems(graph.outputs, asked.graph.output, "output"),
    ]
    network = network_of(graph)
    if not problems or network in (None, asked.component):
        return problems
    ends = f"{_listed(graph.inputs)} to {_listed(graph.outputs)}"
    return [f"by its inputs and outputs it is a {network}: {ends}"]


def _listed(tensors: Sequence[BinaryTensor]) -> str:
    return ", ".join(f"{shown(each.name)} {_by(each.dims)}" for each in tensors[:4])


def _by(dims: Sequence[int]) -> str:
    return "x".join(map(str, dims))


def _tensor_problems(
    tensors: Sequence[BinaryTensor], values: Sequence[onnx.ValueInfoProto], side: str
) -> Iterator[str]:
    found, expected = {each.name: each for each in tensors}, {value.name for value in values}
    if set(found) != expected:
        yield f"its {side}s are {shown(', '.join(found))}, and the graph's {', '.join(sorted(expected))}"
        return
    for value in values:
        tensor, kind = found[value.name], value.type.tensor_type
        dims = [each.dim_value for each in kind.shape.dim]
        if tensor.dims != dims:
            turned = len(dims) == 4 and tensor.dims == [dims[0], *dims[2:], dims[1]]
            order = ": its channels are last" if turned else ""
            yield f"the {side} {value.name} is {_by(tensor.dims)}, and the graph's {_by(dims)}{order}"
        elif onnx_type(tensor) != kind.elem_type:
            name = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
            quantized = ": its ends are quantized" if "fixed" in tensor.dtype else ""
            yield f"the {side} {value.name} is {tensor.dtype}, and the graph's {name}{quantized}"
