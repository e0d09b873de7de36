"""A clean folder to upload: AI Hub's client takes one ``.onnx`` with at most one ``.data``, or with one ``.bin``.

Other suffixes and further files are refused there, and a lone ``.onnx`` is uploaded without its weights.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx

from qnn_sd.ai_hub.external_tensors import Place, external_tensors, is_inside, leads_out, place_of
from qnn_sd.errors import ArtifactError, BinaryError
from qnn_sd.in_words import shown
from qnn_sd.output_files import output_error

_STEM = "model"
# As ONNX's own writer aligns.
_ALIGNMENT = 64
_PIECE_BYTES = 1 << 22


def clean_folder(model: Path, folder: Path, encodings: Path | None = None) -> Path:
    """Makes the folder of an ONNX model, float, QDQ or EPContext.

    The model's weights may be in any number of files beside it, under any names.

    Args:
        model: an ``.onnx`` file, with its external data or context binary beside it.
        folder: to make; its name is that of the uploaded zip's base.
        encodings: AIMET's, for a float model.

    Returns:
        The folder.

    Raises:
        ArtifactError: the model or the encodings can't be read, or it lacks its weights.
        BinaryError: an EPContext node refers to a context binary that isn't there, or there are several.
        OutputError: the folder can't be written.
    """
    content = _read(model)
    stated = None if encodings is None else _bytes_of(encodings)
    try:
        folder.mkdir(parents=True)
        contexts = [each for each in content.graph.node if each.op_type == "EPContext"]
        if contexts:
            _with_binary(content, model, contexts, folder)
        else:
            _with_data(content, model, folder)
        if stated is not None:
            (folder / f"{_STEM}.encodings").write_bytes(stated)
    except OSError as error:
        raise output_error(folder, error) from error
    return folder


def _read(model: Path) -> onnx.ModelProto:
    try:
        content = onnx.load_model(model, load_external_data=False)
    except Exception as error:  # protobuf's own error is not importable everywhere
        raise ArtifactError(
            f"{model} can't be read as ONNX",
            why=shown((str(error).splitlines() or [type(error).__name__])[0]),
            hint="It is truncated, or something else: make it again.",
        ) from error
    if not content.graph.node:
        raise ArtifactError(
            f"{model} has no network in it",
            why=f"It has {model.stat().st_size:,} bytes, and no nodes.",
            hint="It is truncated, or something else: make it again.",
        )
    return content


def _bytes_of(encodings: Path) -> bytes:
    try:
        return encodings.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"The encodings {encodings} can't be read", why=f"{error.strerror or error}.", hint="Make them again."
        ) from error


def _with_data(content: onnx.ModelProto, model: Path, folder: Path) -> None:
    """Writes the model with all its external tensors in one file."""
    tensors = external_tensors(content)
    places = [place_of(each, model) for each in tensors]
    data = folder / f"{_STEM}.data"
    files = {each.file for each in places}
    if len(files) == 1:
        _copy(files.pop(), data)
    elif files:
        places = _joined(places, data)
    for tensor, place in zip(tensors, places, strict=True):
        del tensor.external_data[:]
        for key, value in (("location", data.name), ("offset", place.offset), ("length", place.length)):
            tensor.external_data.add(key=key, value=str(value))
    onnx.save_model(content, folder / f"{_STEM}.onnx")


def _copy(source: Path, target: Path) -> None:
    """A copy, not a link: ONNX's own reader takes a second name of a file for an attack."""
    shutil.copyfile(source, target)


def _joined(places: list[Place], data: Path) -> list[Place]:
    """Copies what tensors there are into one file; where each is then."""
    joined = []
    with data.open("wb") as file:
        for each in places:
            offset = -(-file.tell() // _ALIGNMENT) * _ALIGNMENT
            file.seek(offset)
            with each.file.open("rb") as source:
                source.seek(each.offset)
                left = each.length
                while left and (piece := source.read(min(left, _PIECE_BYTES))):
                    left -= file.write(piece)
            joined.append(Place(data, offset, each.length))
    return joined


def _with_binary(content: onnx.ModelProto, model: Path, nodes: list[onnx.NodeProto], folder: Path) -> None:
    """Writes an EPContext model with the context binary that its nodes refer to."""
    # By where they lead: a file may be named in several ways.
    references = {file.resolve() for node in nodes if (file := _reference(node, model, len(nodes))) is not None}
    bare = [each for each in nodes if not _content(each)]
    if bare and not references:
        raise _unresolved(
            model,
            f"It has {len(nodes)} EPContext nodes, and {_name(bare[0])} has no ep_cache_context: ONNX Runtime doesn't "
            "find the binary of such a node where it is embedded in another one.",
        )
    if len(references) > 1:
        raise _unresolved(
            model, f"Its {len(nodes)} EPContext nodes refer to {len(references)} binaries; AI Hub takes one."
        )
    for file in references:
        binary = f"{_STEM}.bin"
        _copy(file, folder / binary)
        for node in nodes:
            if not _is_embedded(node) and _content(node):
                _attribute(node, "ep_cache_context").s = binary.encode()
    onnx.save_model(content, folder / f"{_STEM}.onnx")


def _reference(node: onnx.NodeProto, model: Path, count: int) -> Path | None:
    """The file that a node refers to; None for one that holds its binary, or shares another one's."""
    content = _content(node)
    if _is_embedded(node) or not content:
        if not content and _is_main(node):
            raise _unresolved(model, f"It has {count} EPContext nodes, and {_name(node)} has no ep_cache_context.")
        return None
    name = content.decode("utf-8", "replace").replace("\\", "/")
    if leads_out(name):
        raise _unresolved(model, f"{_name(node)} refers to {shown(name)}, outside the model's folder.")
    if not (model.parent / name).is_file():
        raise _unresolved(model, f"{_name(node)} refers to {shown(name)}, which isn't beside it.")
    if not is_inside(model.parent / name, model):
        raise _unresolved(
            model, f"{_name(node)} refers to {shown(name)}, a link that leads outside the model's folder."
        )
    return model.parent / name


def _unresolved(model: Path, why: str) -> BinaryError:
    return BinaryError(
        f"{model} doesn't lead to one context binary",
        why=why,
        hint="Compile it again, with the binary beside it (embed_mode 0): qnn-sd compile makes such.",
    )


def _attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto:
    return next((each for each in node.attribute if each.name == name), onnx.AttributeProto())


def _content(node: onnx.NodeProto) -> bytes:
    return bytes(_attribute(node, "ep_cache_context").s)


def _is_embedded(node: onnx.NodeProto) -> bool:
    mode = _attribute(node, "embed_mode")
    return not mode.name or mode.i == 1


def _is_main(node: onnx.NodeProto) -> bool:
    main = _attribute(node, "main_context")
    return not main.name or main.i == 1


def _name(node: onnx.NodeProto) -> str:
    return f"node {shown(node.name) or 'without a name'}"
