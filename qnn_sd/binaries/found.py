"""The context binaries in what somebody names: a file, a bundle, a folder with files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from qnn_sd import artifact
from qnn_sd.binaries.binary_info import BinaryInfo, read_binary
from qnn_sd.binaries.contradictions import contradictions
from qnn_sd.binaries.epcontext import ContextNode, EpContextModel, read_epcontext
from qnn_sd.binaries.file_kind import Stored, file_kind
from qnn_sd.bundle_manifest import BUNDLE_FILE, Bundle
from qnn_sd.errors import ArtifactError, BinaryError
from qnn_sd.in_words import shown
from qnn_sd.onnx_files import MODEL_FILE

# A folder of somebody's that holds more is none of a model.
_MOST_FILES = 2000
Kind = Literal["context binary", "EPContext model", "several context binaries", "bundle", "artifact", "folder"]
_AGAIN = "Get or build the file again."
_SUFFIXES = (".onnx", ".bin", ".dlc")


@dataclass(frozen=True)
class FoundBinary:
    """A context binary, with what refers to it.

    Attributes:
        path: the file that it is in.
        stored: where in that file; None for one in a node of an EPContext model.
        embedded: that node's content; None for one in a file.
        nodes: those of EPContext models that refer to it; none for a raw file.
        soc_models: that these models say it is for.
        is_certain: whether it begins as one, or is referred to; else QNN's library decides.
        component: that it is to be, by the bundle that it is of; None elsewhere.
        info: what it says of itself; None where it can't be read.
        problems: what is wrong with it, in words.
    """

    path: Path
    stored: Stored | None
    embedded: bytes | None = None
    nodes: tuple[ContextNode, ...] = ()
    soc_models: tuple[int, ...] = ()
    is_certain: bool = True
    component: str | None = None
    info: BinaryInfo | None = None
    problems: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.embedded or b"") if self.stored is None else self.stored.size

    @property
    def label(self) -> str:
        """It for people, such as ``unet`` or ``model.bin``."""
        name = self.component or self.path.name
        return f"{name}, {self.stored.label}" if self.stored and self.stored.label else name


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        place: what was named.
        kind: of it: ``context binary``, ``EPContext model``, ``several context binaries``, ``bundle``, ``artifact`` or
            ``folder``.
        binaries: all of them.
        bundle: what a bundle says of itself, or None.
        metadata: what the manifest of an artifact of the compile stage says; empty elsewhere.
        problems: of the place as a whole, in words.
        other_files: files that were looked at and are no context binaries.
    """

    place: Path
    kind: Kind
    binaries: tuple[FoundBinary, ...]
    bundle: Bundle | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    other_files: tuple[str, ...] = ()

    @property
    def shares_weights(self) -> bool:
        """Whether a file holds binaries for several SoCs, or graphs of several sizes: the emulator loads neither."""
        stored = [each for each in self.binaries if each.stored is not None]
        several_graphs = any(each.info is not None and len(each.info.graphs) > 1 for each in stored)
        return several_graphs or len({each.path for each in stored}) < len(stored)

    @property
    def all_problems(self) -> list[str]:
        """Of the place and of each binary."""
        return [*self.problems, *(f"{each.label}: {text}" for each in self.binaries for text in each.problems)]


def find_binaries(place: Path) -> Found:
    """Finds and reads all context binaries of a file or folder.

    Raises:
        BinaryError: it is something else, it isn't there, or it is one file that can't be read.
    """
    if not place.exists():
        raise BinaryError(
            f"{place} isn't there", hint="Give a context binary (.bin), its EPContext .onnx, or a folder."
        )
    if not place.is_dir():
        if not place.is_file():
            raise BinaryError(
                f"{place} is no regular file",
                why="It is a pipe, a socket or a device.",
                hint="Give a file or a folder.",
            )
        found = _in_file(place)
        return replace(found, binaries=tuple(_described(each, strict=not each.nodes) for each in found.binaries))
    found = _in_folder(place)
    described = [_described(each) for each in found.binaries]
    # The weights of a model that isn't compiled end in .bin, too.
    others = [each for each in described if each.info is None and not each.is_certain]
    found = replace(
        found,
        binaries=tuple(each for each in described if each not in others),
        other_files=(*found.other_files, *(f"{each.path.name} ({each.problems[-1].rstrip('.')})" for each in others)),
    )
    if not found.binaries and not found.problems:
        more = f" and {len(found.other_files) - 3} more" if len(found.other_files) > 3 else ""
        listed = shown(", ".join(found.other_files[:3]), 400) + more
        raise BinaryError(
            f"{place} holds no context binary",
            why=f"Looked at: {listed}." if listed else "It has no .bin, .onnx or .dlc file.",
            hint="Give the folder that qnn-sd compile names, or a context binary.",
        )
    return found


def _in_file(path: Path) -> Found:
    kind = file_kind(path)
    if kind.stored:
        binaries = [FoundBinary(path, each, is_certain=kind.is_certain) for each in kind.stored]
        return Found(path, kind.name, tuple(binaries))
    model = read_epcontext(path)
    return Found(path, kind.name, tuple(_of_model(model)), problems=(*model.problems, *_no_binaries(model)))


def _no_binaries(model: EpContextModel) -> list[str]:
    """What an EPContext model refers to that is none itself."""
    return [
        f"{shown(path.name)}, which a node names, is an ONNX model, not a context binary"
        for path in model.files
        if not file_kind(path).stored
    ]


def _of_model(model: EpContextModel, component: str | None = None) -> Iterator[FoundBinary]:
    bare = tuple(each for each in model.nodes if each.embedded is None and each.reference is None)
    for node in model.nodes:
        if node.embedded is not None:
            yield FoundBinary(model.path, None, node.embedded, (node, *bare), model.soc_models, component=component)
    for path, nodes in model.files.items():
        for stored in file_kind(path).stored:
            yield FoundBinary(path, stored, None, nodes, model.soc_models, component=component)


def _in_folder(folder: Path) -> Found:
    if (folder / BUNDLE_FILE).is_file():
        return _in_bundle(folder)
    problems, metadata = _manifest_of(folder)
    files = [each for each in _files(folder) if each.suffix in _SUFFIXES]
    binaries: list[FoundBinary] = []
    others: list[str] = []
    named: set[Path] = set()
    for path in sorted(files, key=lambda each: (each.suffix != ".onnx", each)):
        if path in named:
            continue
        try:
            found = _in_file(path)
        except BinaryError as error:
            # That a model isn't compiled is no fault of a folder that holds compiled ones, too.
            told = others if error.is_other else problems
            told.append(f"{path.relative_to(folder)} ({(error.why or error.what).rstrip('.')})")
            continue
        for each in found.binaries:
            _add(binaries, each)
        problems += [f"{path.relative_to(folder)}: {each}" for each in found.problems]
        named |= {each.path for each in found.binaries}
    kind: Kind = "artifact" if metadata else "folder"
    return Found(folder, kind, tuple(binaries), None, metadata, tuple(problems), tuple(others))


def _add(binaries: list[FoundBinary], another: FoundBinary) -> None:
    """Several models may refer to one file, such as those of several sizes."""
    for number, each in enumerate(binaries):
        if another.stored is not None and (each.path, each.stored) == (another.path, another.stored):
            binaries[number] = replace(each, nodes=(*each.nodes, *another.nodes))
            return
    binaries.append(another)


def _files(folder: Path) -> Iterator[Path]:
    for number, path in enumerate(folder.rglob("*")):
        if number >= _MOST_FILES:
            raise BinaryError(
                f"{folder} has more than {_MOST_FILES:,} files", hint="Give the folder of one model, or a file."
            )
        # What may not be looked at isn't ours to read.
        with suppress(OSError):
            if path.is_file():
                yield path


def _manifest_of(folder: Path) -> tuple[list[str], Mapping[str, Any]]:
    if not (folder / artifact.MANIFEST).is_file():
        return [], {}
    try:
        return [], artifact.load(folder).metadata
    except ArtifactError as error:
        return [f"{error.what}: {error.why}"], {}


def _in_bundle(folder: Path) -> Found:
    try:
        bundle = Bundle.model_validate_json((folder / BUNDLE_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BinaryError(
            f"{folder / BUNDLE_FILE} can't be read",
            why=shown("; ".join(str(error).splitlines()[:2])),
            hint="Make the bundle with qnn-sd compile.",
        ) from error
    problems, _ = _manifest_of(folder)
    binaries: list[FoundBinary] = []
    for name, part in bundle.components.items():
        if part.kind != "context_binary":
            continue
        try:
            model = read_epcontext(folder / part.file)
            problems += [f"{name}: {each}" for each in (*model.problems, *_no_binaries(model))]
            binaries += _of_model(model, name)
        except BinaryError as error:
            problems.append(f"{name}: {error.what}: {error.why}")
    if not binaries and not problems:
        kinds = sorted({each.kind for each in bundle.components.values()})
        raise BinaryError(
            f"{folder} holds no context binary",
            why=f"It is a bundle for the CPU, of {', '.join(kinds)} graphs.",
            hint="Give a bundle that qnn-sd compile --soc made.",
        )
    return Found(folder, "bundle", tuple(binaries), bundle, problems=tuple(problems))


def _described(found: FoundBinary, strict: bool = False) -> FoundBinary:
    """With what it says of itself, and what is wrong with it.

    One that can't be read among others is a problem of it, not of the rest.
    """
    try:
        info = _read(found)
    except BinaryError as error:
        if strict:
            raise
        return replace(found, problems=(*found.problems, error.why or error.what))
    return replace(
        found,
        info=info,
        problems=(*found.problems, *contradictions(found.nodes, found.soc_models, found.component, info)),
    )


def _read(found: FoundBinary) -> BinaryInfo:
    if found.stored is not None:
        return read_binary(found.path, found.stored.start, found.stored.size)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "embedded.bin"
        path.write_bytes(found.embedded or b"")
        # What is cut off in a node is cut off in its file, too.
        stored = file_kind(path).stored
        if not stored:
            raise BinaryError(
                f"{found.path}: what a node holds is no context binary", why="It is an ONNX model.", hint=_AGAIN
            )
        return read_binary(path, 0, stored[0].size)


def qdq_beside(found: Found) -> dict[str, Path]:
    """The QDQ graph's ``model.onnx`` of each component that a bundle has one of."""
    if found.bundle is None:
        return {}
    graphs = {name: part.fallback for name, part in found.bundle.components.items()}
    paths = {name: found.place / file for name, file in graphs.items() if file and Path(file).name == MODEL_FILE}
    return {name: path for name, path in paths.items() if path.is_file()}
