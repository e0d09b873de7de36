"""ONNX files that wrap a context binary of somebody else's: an EPContext node, and nodes for the CPU around it.

The nodes around it turn inputs and outputs into those of our components: another layout, quantized, other names. They
run on ONNX Runtime's CPU provider beside the HTP, so a session of such a file may not refuse all nodes on the CPU.
What may be on the CPU is settled by the file instead: chains of a few of the ops in ``AROUND``, each with one value and
small constants. The network itself is the EPContext node, which the CPU provider can't run: it is on the HTP, or the
session isn't made.
"""

from __future__ import annotations

import math
from pathlib import Path

import onnx

from qnn_sd.errors import ArtifactError
from qnn_sd.in_words import shown

# Of the names of the node's inputs and outputs: those of the component may be the same, with other types.
PREFIX = "binary:"
AROUND = frozenset(("Add", "Cast", "DequantizeLinear", "Identity", "Mul", "QuantizeLinear", "Reshape", "Transpose"))
# Session config entries of such a file.
ENTRIES = {"session.disable_cpu_ep_fallback": "0"}
_CONTEXT = ("com.microsoft", "EPContext")
# Of the CPU for an input or output: DequantizeLinear, Transpose, Mul and Add are the most.
_MOST_STEPS = 4
# Of a constant: the dims of a Reshape are the largest.
_MOST_VALUES = 8


def check_wrapped(path: Path) -> None:
    """Refuses a file in which the CPU would compute more than what wraps one binary.

    Raises:
        ArtifactError: it can't be read, has no EPContext node or several, refers to a binary elsewhere, or has nodes
            that aren't steps from an input to the binary or from there to an output.
    """
    hint = "Fetch it again: qnn-sd fetch."
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own error is not importable everywhere
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"{path} can't be read as ONNX", why=first, hint=hint) from error
    why = _other_ops(model) or _other_binary(model.graph, path.parent) or _other_steps(model.graph)
    if why:
        raise ArtifactError(f"{path} doesn't wrap one context binary", why=why, hint=hint)


def _is_context(node: onnx.NodeProto) -> bool:
    return (node.domain, node.op_type) == _CONTEXT


def _other_ops(model: onnx.ModelProto) -> str:
    """What the file has that no wrapper has: in words, or empty."""
    if model.functions:
        return f"It has functions of its own: {shown(', '.join(each.name for each in model.functions))}."
    nodes = model.graph.node
    contexts = sum(map(_is_context, nodes))
    others = {
        f"{node.domain}:{node.op_type}" if node.domain else node.op_type
        for node in nodes
        if not _is_context(node) and (node.domain not in ("", "ai.onnx") or node.op_type not in AROUND)
    }
    if contexts != 1 or others:
        return f"It has {contexts} EPContext nodes" + (f", and {shown(', '.join(sorted(others)))}." if others else ".")
    if any(each.HasField("g") or each.graphs for node in nodes for each in node.attribute):
        return "A node has a graph inside."
    return ""


def _other_binary(graph: onnx.GraphProto, folder: Path) -> str:
    """Why the EPContext node's binary isn't the file beside the model: in words, or empty."""
    node = next(filter(_is_context, graph.node))
    values = {each.name: each for each in node.attribute}
    if len(values) != len(node.attribute):
        return "Its EPContext node has two attributes of a name."
    if "embed_mode" not in values or values["embed_mode"].i != 0 or "ep_cache_context" not in values:
        return "Its EPContext node names no file."
    name = values["ep_cache_context"].s.decode("utf-8", "replace")
    if name in ("", ".", "..") or "/" in name or "\\" in name or ":" in name or not name.isprintable():
        return f"Its EPContext node names {shown(name)!r}, which is no file beside it."
    if (folder / name).is_symlink():
        return f"{name} is a link."
    return ""


def _other_steps(graph: onnx.GraphProto) -> str:
    """Why a node isn't a step between the binary and an input or output: in words, or empty."""
    context = next(filter(_is_context, graph.node))
    most = _MOST_STEPS * (len(context.input) + len(context.output))
    if len(graph.node) - 1 > most:
        return f"It has {len(graph.node) - 1} nodes for the CPU; to wrap the binary takes at most {most}."
    if graph.sparse_initializer:
        return "It has sparse constants."
    constants = {each.name for each in graph.initializer}
    for each in graph.initializer:
        if each.data_location == onnx.TensorProto.EXTERNAL or math.prod(each.dims) > _MOST_VALUES:
            return f"Its constant {shown(each.name)} is more than an encoding, a factor or dims."
    # Names of values: before the binary, and behind it.
    before, behind = {each.name for each in graph.input} - constants, set[str]()
    for node in graph.node:
        values = [each for each in node.input if each and each not in constants]
        if _is_context(node):
            if not before.issuperset(values):
                return "Its EPContext node takes more than the inputs."
            behind.update(node.output)
        elif len(values) == 1 and values[0] in before | behind:
            (behind if values[0] in behind else before).update(node.output)
        else:
            return f"{node.op_type} {shown(node.name)} doesn't turn one input or output of the binary."
    past = [each.name for each in graph.output if each.name not in behind]
    return f"Its output {shown(past[0])} doesn't come from the binary." if past else ""
