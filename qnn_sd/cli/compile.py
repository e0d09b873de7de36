"""``qnn-sd compile``: from checkpoint to context binaries, verified on the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import click

from qnn_sd.artifact import Artifact
from qnn_sd.bundle_manifest import Bundle, OpenBundle
from qnn_sd.cli.build_options import BuildRequest, build_options
from qnn_sd.cli.docs import COMPILE
from qnn_sd.cli.documents import CompileDocument
from qnn_sd.cli.documents.build import BuiltFile, Calibration, CompiledComponent
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.help import HelpCommand
from qnn_sd.cli.options import open_profile, output_options, soc_option
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import WHOLE, Copies, bundle_files, copies_options, image_size
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import ArtifactError
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.verification import SQNR_FIGURES


@click.command(
    "compile",
    cls=HelpCommand,
    examples=(
        ("Compile the demo model for a Snapdragon 8 Gen 3", "qnn-sd compile --soc sm8650"),
        (
            "See what compiling your own checkpoint for a Snapdragon 8 Gen 2 would build",
            "qnn-sd compile --soc sm8550 --checkpoint dream.safetensors --dry-run",
        ),
    ),
    docs_page=COMPILE,
)
@soc_option("to compile for")
@copies_options("the bundle, with each component's context binary")
@build_options
@output_options
def compile_command(
    soc: str,
    copies: Copies,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Compile a model to context binaries for one SoC, and verify each of them.

    Exports and quantizes first what isn't in the cache. The bundle that it makes is what qnn-sd run puts on a phone.
    """
    profile = open_profile(soc, console)
    copies.check((WHOLE,), build_request.cache)
    pipeline = build_request.pipeline(console)
    copies.refuse_another("bundle", {WHOLE: f"{pipeline.model.name}.{profile.soc}"})

    def build(planned: BuildPipeline) -> Artifact:
        return planned.build_bundle(profile)

    if build_request.dry_run:
        show_plan(console, pipeline, build)
        return
    shortcut = "qnn-sd run PROMPT --target cpu"
    announce(pipeline, build, console, build_request, shortcut=shortcut)
    made = build(pipeline)
    bundle = OpenBundle(made)
    folder = copies.put({WHOLE: made}, console)[WHOLE]
    components = _compiled(pipeline, bundle, folder)
    _show(console, components, profile, bundle.info, folder)
    console.document(
        CompileDocument(
            model=pipeline.model.name,
            size=image_size(pipeline.model),
            soc=profile.soc,
            dl_mode=profile.dl_mode,
            folder=str(folder),
            verified=bundle.info.verified,
            calibration=_calibration(pipeline, build_request.prompts),
            components=components,
        )
    )


def _compiled(pipeline: BuildPipeline, bundle: OpenBundle, folder: Path) -> dict[str, CompiledComponent]:
    """What became of each component; its files are those in the given folder."""
    verified = bundle.info.verification or {}
    files = bundle_files(folder)
    found = {}
    for report in pipeline.reports:
        if report.stage == "compile":
            given, part = pipeline.encodings.get(report.component), bundle.info.components[report.component]
            qdq = part.fallback or ""
            binary = _binary_beside(part.file, files)
            if binary is None:
                raise ArtifactError(
                    f"{folder} has no context binary of {report.component}",
                    hint="Delete the folder and run the command again: it will be made anew.",
                )
            found[report.component] = CompiledComponent(
                context_binary=binary,
                epcontext_model=files[part.file],
                qdq_model=files[qdq],
                qdq_weights=_binary_beside(qdq, files),
                bytes=report.metadata["context_binary_bytes"],
                seconds=round(report.seconds, 3),
                cached=report.cached,
                optimization_mode=report.metadata["optimization_mode"],
                compiler_crashes=report.metadata["compiler_crashes"],
                encodings="given" if given else "measured",
                encodings_file=str(given) if given else None,
                verification=verified.get(report.component),
            )
    return found


def _binary_beside(model: str, files: Mapping[str, BuiltFile]) -> BuiltFile | None:
    """The file that holds what a model's ONNX file refers to."""
    folder = PurePosixPath(model).parent
    return next((each for name, each in files.items() if PurePosixPath(name).match(f"{folder}/*.bin")), None)


def _calibration(pipeline: BuildPipeline, prompts: Path | None) -> Calibration:
    """Its samples are None where all encodings were given."""
    recorded = (each for each in pipeline.reports if (each.stage, each.component) == ("calibrate", "all"))
    samples = next((dict(each.metadata) for each in recorded), None)
    return Calibration(file=str(prompts or pipeline.model.calibration.prompts), samples=samples)


def _show(
    console: Console, components: dict[str, CompiledComponent], profile: DeviceProfile, bundle: Bundle, folder: Path
) -> None:
    rows: list[list[object]] = []
    for name, each in components.items():
        found = each.verification
        sqnr = (found.binary_against_qdq, found.qdq_against_float) if found else (None, None)
        figures = [summary.text if summary else "-" for summary in sqnr]
        state = "cached" if each.cached else "built"
        rows.append([name, each.bytes / 1e6, *figures, each.encodings, each.optimization_mode, each.seconds, state])
    console.table(["component", "MB", "binary/QDQ, dB", "QDQ/float, dB", "encodings", "level", "s", ""], rows)
    if bundle.verification:
        console.result(SQNR_FIGURES)
    mode = "" if profile.dl_mode is None else f", dl_mode {profile.dl_mode}"
    for each in components.values():
        console.result(each.context_binary.file)
    console.result(f"{profile.title}{mode}: {folder}")
