"""The QDQ graphs whose cost is measured: users' own, those of the cache, or new ones with stand-in encodings."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from google.protobuf.message import DecodeError

from qnn_sd import artifact
from qnn_sd.artifact import Artifact
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.forecast import announce
from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.console import Console
from qnn_sd.errors import CheckpointError, SettingError
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize import QuantizationScheme, quantize_with_stand_ins
from qnn_sd.quantize.encodings import DEFAULT_SCHEME

Encodings = Literal["quantized", "stand-ins", "given"]
# What is said of each.
ORIGIN: dict[Encodings, str] = {
    "quantized": "the quantized graph of the cache",
    "stand-ins": "the exported graph with stand-in encodings",
    "given": "the graph that was given",
}
_HINT = f"Give a folder as qnn-sd quantize writes it: a QDQ graph in {MODEL_FILE}, with static shapes."


@dataclass(frozen=True)
class ComponentGraphs:
    """One graph to measure.

    Attributes:
        name: the component, or what a given graph is called.
        encodings: where its encodings come from.
        folder: of the QDQ graph; of the float one where it gets stand-in encodings.
        scheme: the bit widths of stand-in encodings.
    """

    name: str
    encodings: Encodings
    folder: Path
    scheme: QuantizationScheme = DEFAULT_SCHEME

    def parts(self, by_level: bool) -> list[str]:
        """Names of its blocks or levels, in the graph's order: quantizing keeps them."""
        return list(QdqGraph(self.folder).grouped(by_level))

    @contextmanager
    def quantized(self) -> Iterator[Path]:
        """The folder of its QDQ graph, which is gone afterwards where it was made for this: every node has a name."""
        if self.encodings == "stand-ins":
            with tempfile.TemporaryDirectory(prefix="qnn-sd-stand-ins-") as aside:
                quantize_with_stand_ins(self.folder, Path(aside), self.scheme)
                yield Path(aside)
            return
        graph = QdqGraph(self.folder)
        nameless = [node for node in graph.model.graph.node if not node.name]
        if not nameless:
            yield self.folder
            return
        # The compiler would call them by a number of its own, which no node of the graph has.
        for node in nameless:
            node.name = node.output[0]
        with tempfile.TemporaryDirectory(prefix="qnn-sd-named-") as aside:
            graph.save(Path(aside))
            yield Path(aside)


def components_of(
    build_request: BuildRequest, components: Sequence[str], console: Console, compilations: int
) -> tuple[BuildPipeline, list[ComponentGraphs]]:
    """Components as users get them where they are quantized already or encodings are given, else exported.

    Nothing is calibrated.

    Args:
        build_request: what was typed.
        components: names.
        console: where progress is shown.
        compilations: how often each graph will be compiled, its parts together counted as a graph.

    Returns:
        The pipeline, and what there is to measure.
    """
    pipeline = build_request.pipeline(console)
    places = _quantized(build_request, components, console)

    def build(planned: BuildPipeline) -> dict[str, Artifact]:
        missing = [name for name in components if name not in places]
        # Nothing is calibrated for a graph with given encodings either.
        return {name: planned.quantize(name) if name in planned.encodings else planned.export(name) for name in missing}

    if not build_request.dry_run:
        compiled = [("compile", pipeline.work(name)) for name in components] * compilations
        announce(pipeline, build, console, build_request, afterwards=compiled)
    made = build(pipeline)
    found = []
    for name in components:
        if name in places:
            # Opened as any artifact: its files are held against its manifest.
            found.append(ComponentGraphs(name, "quantized", artifact.load(places[name]).folder))
        elif name in pipeline.encodings:
            found.append(ComponentGraphs(name, "quantized", made[name].folder))
        else:
            found.append(ComponentGraphs(name, "stand-ins", made[name].folder, pipeline.scheme(name)))
        console.say(f"{name}: {ORIGIN[found[-1].encodings]}")
    return pipeline, found


def _quantized(build_request: BuildRequest, components: Sequence[str], console: Console) -> dict[str, Path]:
    """Where the components stand in the cache that are quantized; the checkpoint is there by now."""
    # It knows where a graph would be, and makes none.
    looking = replace(build_request, dry_run=True).pipeline(Console(quiet=True))
    places: dict[str, Path] = {}
    unknown: dict[str, None] = {}
    for name in components:
        try:
            place = looking.quantize(name).folder
        except CheckpointError as error:
            # What a graph was calibrated with is part of its key, and a cost needs none of it: a tokenizer, say.
            unknown[error.what] = None
            continue
        if place.exists():
            places[name] = place
    for what in unknown:
        console.warn(f"no quantized graph is looked for: {what}")
    return places


def given_graph(folder: Path, name: str) -> ComponentGraphs:
    """A QDQ graph of the user's.

    Args:
        folder: with ``model.onnx`` in it.
        name: of the component; "" for the folder's.

    Raises:
        SettingError: there is none, or it can't be measured: truncated, float, without shapes or weights.
    """
    if not (folder / MODEL_FILE).is_file():
        why = f"It has no {MODEL_FILE}." if folder.is_dir() else "It is no folder."
        raise SettingError(f"There is no graph in {folder}", why=why, hint=_HINT)
    try:
        graph = QdqGraph(folder)
    except OSError as error:
        raise SettingError(
            f"{folder / MODEL_FILE} can't be read", why=str(error), hint="Give yourself leave to read it."
        ) from error
    except DecodeError as error:
        raise SettingError(
            f"{folder / MODEL_FILE} can't be read",
            why=f"It is truncated, or no ONNX model: {error}",
            hint="Copy it again.",
        ) from error
    _refuse_float(graph)
    _refuse_missing_weights(graph)
    _refuse_unknown_shapes(graph)
    return ComponentGraphs(name or folder.resolve().name, "given", folder)


def _refuse_float(graph: QdqGraph) -> None:
    ops = {node.op_type for node in graph.model.graph.node}
    if not ops:
        raise SettingError(f"The graph in {graph.folder} is empty", why="It has no node.", hint=_HINT)
    if not {"QuantizeLinear", "DequantizeLinear"} <= ops:
        raise SettingError(
            f"The graph in {graph.folder} is not quantized",
            why="It has no QuantizeLinear and DequantizeLinear: the HTP would compute in float, if at all.",
            hint=f"{_HINT} For a checkpoint's components leave --graph out.",
        )


def _refuse_missing_weights(graph: QdqGraph) -> None:
    for name, needed in graph.external_files().items():
        path = graph.folder / name
        size = path.stat().st_size if path.is_file() else None
        if size is None or size < needed:
            found = "It isn't there." if size is None else f"It has {size:,} bytes, the graph reads {needed:,}."
            raise SettingError(
                f"Weights of the graph in {graph.folder} are missing in {name}", why=found, hint="Copy it again."
            )


def _refuse_unknown_shapes(graph: QdqGraph) -> None:
    for name in (*(value.name for value in graph.model.graph.input), *(node.output[0] for node in graph.ops)):
        value = graph.values.get(name)
        if value is not None and value.type.tensor_type.HasField("shape") and all(graph.shape(name)):
            continue
        raise SettingError(
            f"The graph in {graph.folder} can't be measured",
            why=f"The shape of {name} isn't known before the graph runs; the HTP needs it.",
            hint="Export it anew with static shapes.",
        )
