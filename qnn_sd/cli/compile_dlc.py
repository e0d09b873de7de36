"""``qnn-sd compile --format dlc``: quantized graphs for qnn-net-run and SNPE."""

from __future__ import annotations

from qnn_sd.artifact import Artifact
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.documents import CompileDlcDocument
from qnn_sd.cli.documents.build import BuiltFile, WrittenDlc
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import WHOLE, Copies, bundle_files, image_size, narrowed_remark
from qnn_sd.config import DeviceProfile, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.pipeline import BuildPipeline


def compile_dlc(
    socs: tuple[str, ...], multi_soc: bool, copies: Copies, build_request: BuildRequest, console: Console
) -> None:
    """Builds, verifies and reports the DLCs of all components for one SoC."""
    if multi_soc or len(socs) > 1:
        raise SettingError(
            "A DLC is made for one SoC", hint="Name one with --soc for each qnn-sd compile --format dlc."
        )
    if build_request.further_sizes:
        raise SettingError(
            "A DLC is made for one size", hint="Name one with --size for each qnn-sd compile --format dlc."
        )
    profile = load_profile(socs[0])
    copies.check([WHOLE], build_request.cache)
    pipeline = build_request.pipeline(console)
    copies.refuse_another("bundle", {WHOLE: f"{pipeline.model.name}.{profile.soc}.dlc"})

    def build(planned: BuildPipeline) -> Artifact:
        return planned.build_dlcs(profile)

    if build_request.dry_run:
        show_plan(console, pipeline, build)
        return
    announce(pipeline, build, console, build_request, shortcut="qnn-sd run PROMPT --target cpu")
    made = build(pipeline)
    console.kept.build_is_whole()
    folder = copies.put({WHOLE: made}, console)[WHOLE]
    document = _document(pipeline, profile, made, str(folder), bundle_files(folder))
    rows: list[list[object]] = []
    for name, each in document.components.items():
        rows.append([name, each.dlc.bytes / 1e6, "cached" if each.cached else "built"])
    console.table(["component", "MB", ""], rows)
    for line in document.verification:
        console.result(line)
    if narrowed := sum(each.int8_operands for each in document.components.values()):
        console.result(narrowed_remark(narrowed, "DLCs", [profile]))
    for each in document.components.values():
        console.result(each.dlc.file)
    console.result(f"{profile.title}, DLCs: {folder}")
    console.document(document)


def _document(
    pipeline: BuildPipeline, profile: DeviceProfile, made: Artifact, folder: str, files: dict[str, BuiltFile]
) -> CompileDlcDocument:
    written = {each.component: each for each in pipeline.reports if each.stage == "compile"}
    return CompileDlcDocument(
        model=pipeline.model.name,
        size=image_size(pipeline.model),
        soc=profile.soc,
        folder=folder,
        verification=made.metadata["verification"],
        components={
            name: WrittenDlc(dlc=files[f"{name}.dlc"], cached=each.cached, int8_operands=each.metadata["int8_operands"])
            for name, each in written.items()
        },
    )
