"""What was uploaded as a model, unpacked and looked at."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx
from onnx import TensorProto
from onnx.external_data_helper import ExternalDataInfo
from qai_hub import public_api_pb2 as api

from qnn_sd.hub_stand_in.refusals import JobFailed

# Unpacked: twice what AI Hub takes.
_MOST_BYTES = 20 * 10**9
_MOST_MEMBERS = 100


@dataclass(frozen=True)
class Source:
    """A model's files in a folder.

    Attributes:
        onnx: the graph, or None for a bare context binary or DLC.
        encodings: AIMET's, or None.
        binary: a context binary or DLC, or None.
    """

    onnx: Path | None = None
    encodings: Path | None = None
    binary: Path | None = None


def zip_members(path: Path) -> tuple[str, ...] | None:
    """The files in a zip; None where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(each.filename for each in archive.infolist() if not each.is_dir())
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return None


def unpacked(content: Path, model: api.Model, folder: Path) -> Source:
    """A model's files under the names that they have in it.

    Args:
        content: what was uploaded or made.
        model: its record.
        folder: existing empty folder that gets them.

    Raises:
        JobFailed: it isn't what it is said to be, or an archive that leads out of the folder.
    """
    if not content.is_file():
        raise JobFailed(api.JOB_FAILURE_TYPE_INVALID_INPUTS, "The model's upload was not completed.")
    suffix = _SUFFIXES.get(model.model_type)
    if suffix is None:
        kind = str(api.ModelType.Name(model.model_type)).removeprefix("MODEL_TYPE_")
        raise JobFailed(api.JOB_FAILURE_TYPE_UNSUPPORTED, f"The stand-in doesn't take models of the type {kind}.")
    if zip_members(content) is not None and suffix == ".onnx":
        return _sorted(_unzip(content, folder))
    link = folder / f"model{suffix}"
    link.symlink_to(content.resolve())
    return _sorted([link])


_SUFFIXES = {
    api.MODEL_TYPE_ONNX: ".onnx",
    api.MODEL_TYPE_AIMET_ONNX: ".onnx",
    api.MODEL_TYPE_QNN_CONTEXT_BINARY: ".bin",
    api.MODEL_TYPE_QNN_DLC: ".dlc",
}


def _unzip(content: Path, folder: Path) -> list[Path]:
    try:
        with zipfile.ZipFile(content) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
            names = [PurePosixPath(each.filename) for each in members]
            if any(len(name.parts) != 2 or ".." in name.parts or "\\" in str(name) for name in names):
                raise _corrupt("The archive must hold one folder with the model's files, and nothing else.")
            if len({name.parts[0] for name in names}) != 1 or len({name.name for name in names}) != len(names):
                raise _corrupt("The archive must hold one folder with the model's files.")
            if len(members) > _MOST_MEMBERS or sum(each.file_size for each in members) > _MOST_BYTES:
                raise _corrupt("The archive is too large.")
            return [_extract(archive, each, folder / name.name) for each, name in zip(members, names, strict=True)]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise _corrupt(f"The archive can't be read: {error}") from error


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> Path:
    with archive.open(member) as packed, target.open("wb") as file:
        while chunk := packed.read(2**20):
            file.write(chunk)
    return target


def _sorted(files: list[Path]) -> Source:
    """The files by what they are for."""
    by_suffix: dict[str, Path] = {}
    for path in files:
        if path.suffix not in (".onnx", ".data", ".encodings", ".bin", ".dlc") or path.suffix in by_suffix:
            raise _corrupt(f"A model can't hold {path.name}: one .onnx, at most one .data, .encodings or .bin.")
        by_suffix[path.suffix] = path
    graph = by_suffix.get(".onnx")
    if graph is not None:
        _check_weights(graph)
    return Source(graph, by_suffix.get(".encodings"), by_suffix.get(".bin") or by_suffix.get(".dlc"))


def _check_weights(path: Path) -> None:
    """Refuses a graph whose weights aren't beside it."""
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf's own error is not importable everywhere
        raise _corrupt("The ONNX model can't be read.") from error
    if not graph.node:  # to protobuf an empty file is a message
        raise _corrupt("The ONNX model is empty.")
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            location = ExternalDataInfo(tensor).location
            if location != Path(location).name or not (path.parent / location).is_file():
                raise _corrupt(f"The weights {location!r} of the ONNX model are not in the upload.")


def _corrupt(reason: str) -> JobFailed:
    return JobFailed(api.JOB_FAILURE_TYPE_MODEL_CORRUPT, reason)
