"""``qnn-sd verify --bisect``: the first op that the HTP gets wrong, and a reproduction to send."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx

from qnn_sd import qnn_provider
from qnn_sd.cli.bisect_options import BisectRequest
from qnn_sd.cli.bisect_report import bisected_graph, failure_of, show_bisected
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.cost_graphs import given_graph
from qnn_sd.cli.documents import BisectDocument, ErrorDetail
from qnn_sd.cli.documents.bisect import BisectedGraph
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.options import refuse_bad_output
from qnn_sd.cli.plan import show_plan
from qnn_sd.compile.bisect import Target, bisect, compile_and_run, refused_ops, seeded_inputs, write_reproduction
from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.compile.narrow_operands import int16_operands, with_fitting_operands
from qnn_sd.compile.process import Job
from qnn_sd.config import DeviceProfile, takes_int16_operands
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.metrics import MIN_SQNR_DB
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.runner import Feeds
from qnn_sd.toolchain import load_toolchains
from qnn_sd.verification import binary_gate

_SEED = 1


def run_bisection(
    request: BisectRequest, profile: DeviceProfile, build_request: BuildRequest, console: Console
) -> None:
    """Bisects graphs one after the other and prints what was found.

    Raises:
        VerificationError: one of them computes something else on the HTP.
        CompileError: one of them is refused, or the compiler crashes on it.
    """
    found: list[BisectedGraph] = []
    for name, folder, samples, labels in _graphs(request, profile, build_request, console):
        # A build for this SoC may be held to less than a graph that is given as it is.
        gate_db = MIN_SQNR_DB if request.graph is not None else binary_gate(profile.htp_arch).least_db
        path = request.path_for(name, profile)
        found.append(_bisect_one(name, folder, samples, labels, path, profile, gate_db, console))
        show_bisected(console, found[-1], profile.soc)
    if not found:
        return  # a dry run
    failures = [error for each in found if (error := failure_of(each, profile.soc)) is not None]
    console.document(
        BisectDocument(soc=profile.soc, graphs=found, error=ErrorDetail.of(failures[0]) if failures else None)
    )
    if failures:
        raise failures[0]


def _graphs(
    request: BisectRequest, profile: DeviceProfile, build_request: BuildRequest, console: Console
) -> Iterator[tuple[str, Path, Sequence[Feeds], Sequence[str]]]:
    """What there is to bisect: name, folder, inputs, and what each of them is called."""
    if request.graph is not None:
        with given_graph(request.graph, "").quantized() as folder:
            _refuse_invalid(folder)
            graph = QdqGraph(folder)
            feeds = seeded_inputs(graph, _SEED) if request.inputs is None else _read_inputs(request.inputs, graph)
            label = f"random inputs of seed {_SEED}" if request.inputs is None else request.inputs.name
            narrowed = 0 if takes_int16_operands(profile.htp_arch) else len(int16_operands(graph))
            if narrowed:
                console.say(
                    f"this graph is compiled as it is; in a build for {profile.soc} {narrowed} int16 operands of "
                    f"its products have int8, since the HTP v{profile.htp_arch} takes no others (docs/compile.md)"
                )
            yield request.graph.resolve().name, folder, [feeds], [label]
        return
    pipeline = build_request.pipeline(console)

    def build(planned: BuildPipeline) -> object:
        return [*map(planned.quantize, request.components), planned.verification()]

    if build_request.dry_run:
        show_plan(console, pipeline, build)
        return
    announce(pipeline, build, console, build_request)
    for name in request.components:
        source = pipeline.quantize(name).folder
        asked = (None, *range(pipeline.model.verification.images))
        inputs = [each for each in pipeline.verification_inputs(name) if each.trajectory in asked]
        with _as_built(source, profile, console) as folder:
            yield name, folder, [each.feeds for each in inputs], [each.label for each in inputs]


def _refuse_invalid(folder: Path) -> None:
    """Raises for a graph that no compile could tell anything of."""
    try:
        onnx.checker.check_model(str(folder / MODEL_FILE), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise SettingError(
            f"The graph in {folder} is no valid ONNX model",
            why=str(error).strip().splitlines()[0][:300],
            hint="onnx.checker.check_model(PATH, full_check=True) tells the same: correct the graph.",
        ) from error
    if not QdqGraph(folder).model.graph.output:
        raise SettingError(f"The graph in {folder} has no output", hint="Give one that computes something.")


@contextmanager
def _as_built(source: Path, profile: DeviceProfile, console: Console) -> Iterator[Path]:
    """The graph that a build compiles for a SoC."""
    job = Job(source, source, profile.soc_model, profile.htp_arch, profile.optimization_mode)
    with with_fitting_operands(job) as (fitting, narrowed):
        if narrowed:
            console.say(f"as in a build for {profile.soc}, {narrowed} int16 operands of products have int8")
        yield fitting.graph or source


def _bisect_one(
    name: str,
    folder: Path,
    samples: Sequence[Feeds],
    labels: Sequence[str],
    path: Path,
    profile: DeviceProfile,
    gate_db: float,
    console: Console,
) -> BisectedGraph:
    target = Target(profile.soc, profile.soc_model, profile.htp_arch, profile.optimization_mode)

    def say(line: str) -> None:
        console.say(f"{name}: {line}")

    refusals = functools.partial(refused_ops, target)
    bisection = bisect(folder, samples, compile_and_run(target), refusals, say, gate_db)
    written = None
    if bisection.culprit is not None:
        refuse_bad_output(path, ".zip", "A reproduction is a zip file.")
        written = write_reproduction(bisection, target, path, _versions())
        if written is None:
            console.warn(f"{name}: no reproduction is written: in a graph of its own the fault is gone")
    return bisected_graph(name, labels[bisection.sample], bisection, written)


def _versions() -> dict[str, str]:
    installed = qnn_provider.versions()
    known = load_toolchains().of(installed)
    return {**installed, **({} if known is None else {"QAIRT": known.qairt})}


def _read_inputs(path: Path, graph: QdqGraph) -> Feeds:
    """Inputs from a file.

    Raises:
        SettingError: it can't be read, or doesn't hold what the graph takes.
    """
    hint = "numpy.savez(FILE, name=array, ...) writes one."
    try:
        with np.load(path, allow_pickle=False) as stored:
            feeds = dict(stored)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SettingError(f"{path} can't be read", why=str(error), hint=hint) from error
    for value in graph.model.graph.input:
        shape = graph.shape(value.name)
        given = feeds.get(value.name)
        if given is not None and not (given.dtype.kind in "biuf" and np.isfinite(given).all()):
            raise SettingError(
                f"{path} has an input that can't be fed",
                why=f"{value.name} is of {given.dtype}"
                + ("." if given.dtype.kind not in "biuf" else ", not all finite."),
                hint=hint,
            )
        if value.name not in feeds or feeds[value.name].shape != shape:
            found = "none" if value.name not in feeds else f"shape {feeds[value.name].shape}"
            raise SettingError(
                f"{path} doesn't fit the graph",
                why=f"Input {value.name} has shape {shape}, the file {found}.",
                hint=hint,
            )
    return {value.name: feeds[value.name] for value in graph.model.graph.input}
