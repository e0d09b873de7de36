"""What ``qnn-sd compile`` says of the bundles that it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qnn_sd.artifact import Artifact
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.documents import CompileDocument, CompileSeveralDocument, ErrorDetail
from qnn_sd.cli.documents.build import (
    BuiltFile,
    Calibration,
    CompiledBundle,
    CompiledComponent,
    HubCompile,
    RefusedSoc,
    Via,
)
from qnn_sd.cli.stage_output import bundle_files, image_size, narrowed_remark
from qnn_sd.config import DeviceProfile, joint_name
from qnn_sd.console import Console
from qnn_sd.errors import ArtifactError, QnnSdError
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.verification import SQNR_FIGURES


@dataclass(frozen=True)
class Compiled:
    """A bundle that was made.

    Attributes:
        profiles: the SoCs that each of its files serves.
        made: its artifact.
        folder: where its files are for the user.
        via: what tells its artifacts from those that are compiled here, such as ``hub``; empty for these.
    """

    profiles: tuple[DeviceProfile, ...]
    made: Artifact
    folder: Path
    via: str = ""

    @property
    def soc(self) -> str:
        """``sm8650``, or ``sm8550+sm8650``."""
        return joint_name(self.profiles)

    @property
    def subject(self) -> str:
        """How the names of its artifacts end, such as ``sm8650``."""
        return f"{self.soc}.{self.via}" if self.via else self.soc

    @property
    def title(self) -> str:
        """For people, such as ``Snapdragon 8 Gen 3, dl_mode 2``."""
        if len(self.profiles) > 1:
            return " and ".join(each.title for each in self.profiles)
        [profile] = self.profiles
        return profile.title if profile.dl_mode is None else f"{profile.title}, dl_mode {profile.dl_mode}"


def show_compiled(console: Console, pipeline: BuildPipeline, compiled: Sequence[Compiled]) -> None:
    """Prints a table of all binaries, and where they are."""
    bundles = [(each, _bundle(pipeline, each)) for each in compiled]
    rows: list[list[object]] = []
    for _each, bundle in bundles:
        for name, part in bundle.components.items():
            found = part.verification
            sqnr = (found.binary_against_qdq, found.qdq_against_float) if found else (None, None)
            figures = [summary.text if summary else "-" for summary in sqnr]
            state = "cached" if part.cached else "built"
            row = [name, part.bytes / 1e6, *figures, part.encodings, part.optimization_mode, part.seconds, state]
            rows.append([bundle.soc, *row] if len(bundles) > 1 else row)
    columns = ["component", "MB", "binary/QDQ, dB", "QDQ/float, dB", "encodings", "level", "s", ""]
    console.table(["SoC", *columns] if len(bundles) > 1 else columns, rows)
    if any(part.verification for _each, bundle in bundles for part in bundle.components.values()):
        console.result(SQNR_FIGURES)
    for each, bundle in bundles:
        if narrowed := sum(part.int8_operands for part in bundle.components.values()):
            console.result(f"{each.soc}: {narrowed_remark(narrowed, 'binaries', each.profiles)}")
    for each, bundle in bundles:
        for part in bundle.components.values():
            console.result(part.context_binary.file)
        if len(each.profiles) > 1:
            console.result(bundle.verified)
        console.result(f"{each.title}: {each.folder}")


def compile_document(
    pipeline: BuildPipeline,
    request: BuildRequest,
    compiled: Sequence[Compiled],
    refused: Mapping[str, QnnSdError],
    *,
    several: bool,
    hub: HubCompile | None = None,
) -> CompileDocument | CompileSeveralDocument:
    """The document of the command.

    Args:
        pipeline: that built.
        request: what it was told.
        compiled: the bundles.
        refused: why there is none, by SoC.
        several: whether more than one bundle was asked for.
        hub: how AI Hub compiled it; None where it was compiled here.
    """
    model, size = pipeline.model.name, image_size(pipeline.model)
    calibration = _calibration(pipeline, request.prompts)
    bundles = [_bundle(pipeline, each) for each in compiled]
    if not several:
        [bundle] = bundles
        via: Via = "local" if hub is None else "hub"
        return CompileDocument(model=model, size=size, via=via, hub=hub, calibration=calibration, **dict(bundle))
    return CompileSeveralDocument(
        model=model,
        size=size,
        calibration=calibration,
        bundles=bundles,
        refused=[RefusedSoc(soc=soc, error=ErrorDetail.of(error)) for soc, error in refused.items()],
    )


def _bundle(pipeline: BuildPipeline, compiled: Compiled) -> CompiledBundle:
    bundle = OpenBundle(compiled.made)
    return CompiledBundle(
        soc=compiled.soc,
        dl_mode=compiled.profiles[0].dl_mode if len(compiled.profiles) == 1 else None,
        folder=str(compiled.folder),
        verified=bundle.info.verified,
        components=_components(pipeline, compiled, bundle),
    )


def _components(pipeline: BuildPipeline, compiled: Compiled, bundle: OpenBundle) -> dict[str, CompiledComponent]:
    """What became of each component; its files are those in the user's folder."""
    verified = bundle.info.verification or {}
    files = bundle_files(compiled.folder)
    found = {}
    for report in pipeline.reports:
        if report.stage == "compile" and report.name == f"{pipeline.model.name}.{report.component}.{compiled.subject}":
            given, part = pipeline.encodings.get(report.component), bundle.info.components[report.component]
            qdq = part.fallback or ""
            binary = _binary_beside(part.file, files)
            if binary is None:
                raise ArtifactError(
                    f"{compiled.folder} has no context binary of {report.component}",
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
                int8_operands=report.metadata["int8_operands"],
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
