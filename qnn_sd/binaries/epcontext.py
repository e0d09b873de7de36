"""EPContext models: ONNX files whose nodes hold context binaries or refer to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx

from qnn_sd.errors import BinaryError
from qnn_sd.in_words import shown

# As onnxruntime-qnn writes it: v2:<backend>:<QAIRT>:<backend API>:<htp_arch>:<soc_model>:…, up to 2.4.0 without v2.
_COMPATIBILITY = "ep_compatibility_info.QNNExecutionProvider"


@dataclass(frozen=True)
class ContextNode:
    """One EPContext node.

    Attributes:
        file: the model that it is in.
        name: of the node, which is that of its graph.
        is_main: whether it holds or names the binary; others take the main one's.
        embedded: the binary in it; None where it refers to a file.
        reference: the file as the node names it; None where it names none.
        inputs: names of its inputs.
        outputs: names of its outputs.
    """

    file: Path
    name: str
    is_main: bool
    embedded: bytes | None
    reference: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class EpContextModel:
    """An EPContext model.

    Attributes:
        path: its file.
        nodes: its EPContext nodes.
        htp_archs: that it says its binaries are for.
        soc_models: likewise.
        problems: what keeps ONNX Runtime from finding its binaries, in words.
        files: the binaries that it refers to and that are there, with the nodes that do.
    """

    path: Path
    nodes: tuple[ContextNode, ...]
    htp_archs: tuple[int, ...]
    soc_models: tuple[int, ...]
    problems: tuple[str, ...]
    files: dict[Path, tuple[ContextNode, ...]] = field(default_factory=dict)


def read_epcontext(path: Path) -> EpContextModel:
    """Reads an EPContext model, and looks for what it refers to.

    Raises:
        BinaryError: it is no ONNX model, or one without an EPContext node.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own error is not importable everywhere
        raise BinaryError(
            f"{path} can't be read as ONNX",
            why=shown((str(error).splitlines() or [type(error).__name__])[0]),
            hint="It is truncated, or something else: get it again.",
        ) from error
    nodes = tuple(_node(path, each) for each in model.graph.node if each.op_type == "EPContext")
    if not nodes:
        kind = "QDQ " if any(each.op_type == "DequantizeLinear" for each in model.graph.node) else ""
        count = len(model.graph.node)
        other = BinaryError(
            f"{path} is no context binary",
            why=f"It is a {kind}ONNX graph of {count:,} nodes, none of them EPContext: it isn't compiled.",
            hint="Compile it first. If it is one of a bundle, give the bundle's folder.",
        )
        other.is_other = True
        raise other
    entry = next((each.value for each in model.metadata_props if each.key == _COMPATIBILITY), "")
    fields = entry.split(":")[1:] if entry.startswith("v") else entry.split(":")
    archs, socs = (_numbers(fields[at]) if len(fields) > at else () for at in (3, 4))
    problems, files = _resolved(path, nodes)
    return EpContextModel(path, nodes, archs, socs, tuple(problems), files)


def _node(path: Path, node: onnx.NodeProto) -> ContextNode:
    values = {each.name: each for each in node.attribute}
    content = values["ep_cache_context"].s if "ep_cache_context" in values else b""
    is_embedded = "embed_mode" not in values or values["embed_mode"].i == 1
    return ContextNode(
        file=path,
        name=node.name,
        is_main="main_context" not in values or values["main_context"].i == 1,
        embedded=content if is_embedded and content else None,
        reference=content.decode("utf-8", "replace") if content and not is_embedded else None,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(",") if each.isdecimal() and int(each))


def _resolved(path: Path, nodes: tuple[ContextNode, ...]) -> tuple[list[str], dict[Path, tuple[ContextNode, ...]]]:
    problems: list[str] = []
    files: dict[Path, tuple[ContextNode, ...]] = {}
    main = [each for each in nodes if each.is_main and (each.embedded or each.reference)]
    for node in nodes:
        name = f"node {shown(node.name) or 'without a name'}"
        if node.embedded is None and node.reference is None:
            if not main:
                problems.append(f"{name} has no ep_cache_context, and no other node has one that it could share")
            continue
        if node.reference is None:
            continue
        reference = node.reference.replace("\\", "/")
        target = path.parent / reference
        # By its text: downloads from a hub are links to files elsewhere, and those are meant.
        if _leads_out(node.reference):
            problems.append(f"{name} refers to {shown(node.reference)}, outside the model's folder")
        elif not target.is_file():
            problems.append(f"{name} refers to {shown(node.reference)}, which isn't beside it")
        else:
            files[target] = (*files.get(target, ()), node)
    # Those without a binary of their own run a graph of the main one's.
    bare = tuple(each for each in nodes if each.embedded is None and each.reference is None)
    if len(files) == 1 and bare:
        files = {target: (*found, *bare) for target, found in files.items()}
    return problems, files


def _leads_out(reference: str) -> bool:
    posix, windows = PurePosixPath(reference), PureWindowsPath(reference)
    return posix.is_absolute() or windows.is_absolute() or ".." in posix.parts or ".." in windows.parts
