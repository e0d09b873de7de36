"""``qnn-sd compile --size A --size B``: several sizes whose context binaries hold the weights once."""

from __future__ import annotations

import json

from qnn_sd.artifact import Artifact
from qnn_sd.bundle_manifest import Bundle
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.documents import CompileSizesDocument
from qnn_sd.cli.documents.build import SharedComponent
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import WHOLE, Copies, bundle_files
from qnn_sd.config import DeviceProfile, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.pipeline.stages.sizes_stage import bundle_file
from qnn_sd.schemas import ImageSize
from qnn_sd.verification import SQNR_FIGURES, SqnrSummary


def compile_sizes(
    socs: tuple[str, ...], multi_soc: bool, copies: Copies, build_request: BuildRequest, console: Console
) -> None:
    """Builds, verifies and reports one folder for all sizes, for one SoC."""
    if multi_soc or len(socs) > 1:
        raise SettingError(
            "Several sizes are compiled for one SoC", hint="Name one with --soc for each qnn-sd compile."
        )
    profile = load_profile(socs[0])
    copies.check([WHOLE], build_request.cache)
    pipeline = build_request.pipeline(console)
    sizes = [pipeline.size_name, *(f"{width}x{height}" for width, height in build_request.further_sizes)]
    copies.refuse_another("bundle", {WHOLE: f"{pipeline.model.name}.{profile.soc}.{'+'.join(sizes)}"})

    def build(planned: BuildPipeline) -> Artifact:
        return planned.build_sizes(build_request.further_sizes, profile)

    if build_request.dry_run:
        show_plan(console, pipeline, build)
        return
    announce(pipeline, build, console, build_request, shortcut="qnn-sd run PROMPT --target cpu")
    made = build(pipeline)
    console.kept.build_is_whole()
    document = _document(pipeline, profile, sizes, made, str(copies.put({WHOLE: made}, console)[WHOLE]))
    _show(console, document, profile)
    console.document(document)


def _document(
    pipeline: BuildPipeline, profile: DeviceProfile, sizes: list[str], made: Artifact, folder: str
) -> CompileSizesDocument:
    infos = {size: Bundle.model_validate(json.loads(made.file(bundle_file(size)).read_text("utf-8"))) for size in sizes}
    files = bundle_files(made.folder)
    files = {
        name: each.model_copy(update={"file": each.file.replace(str(made.folder), folder, 1)})
        for name, each in files.items()
    }
    components = {}
    for report in pipeline.reports:
        if report.stage != "compile":
            continue
        name, metadata = report.component, report.metadata
        verified = {size: info.verification[name] for size, info in infos.items() if info.verification}
        components[name] = SharedComponent(
            context_binary=next(
                each for path, each in files.items() if path.startswith(f"{name}/") and path.endswith(".bin")
            ),
            epcontext_models={size: files[info.components[name].file] for size, info in infos.items()},
            cached=report.cached,
            optimization_mode=metadata["optimization_mode"],
            compiler_crashes=metadata["compiler_crashes"],
            int8_operands=metadata["int8_operands"],
            weight_bytes=metadata.get("weight_bytes"),
            equal_weight_bytes=metadata.get("equal_weight_bytes"),
            verification=verified or None,
        )
    return CompileSizesDocument(
        model=pipeline.model.name,
        sizes=[ImageSize(width=info.width, height=info.height) for info in infos.values()],
        soc=profile.soc,
        folder=folder,
        verified={size: info.verified for size, info in infos.items()},
        components=components,
    )


def _show(console: Console, document: CompileSizesDocument, profile: DeviceProfile) -> None:
    rows: list[list[object]] = []
    for name, each in document.components.items():
        alike = "all" if not each.weight_bytes else f"{100 * (each.equal_weight_bytes or 0) / each.weight_bytes:.0f}%"
        for size in each.epcontext_models:
            found = each.verification[size] if each.verification else None
            sqnr = (found.binary_against_qdq, found.qdq_against_float) if found else (None, None)
            state = "cached" if each.cached else "built"
            rows.append([name, size, each.context_binary.bytes / 1e6, alike, *map(_text, sqnr), state])
    console.table(["component", "size", "MB of all", "weights alike", "graph/QDQ, dB", "QDQ/float, dB", ""], rows)
    if any(each.verification for each in document.components.values()):
        console.result(SQNR_FIGURES)
    for each in document.components.values():
        console.result(each.context_binary.file)
    for size, verified in document.verified.items():
        console.result(f"{size}: {verified}")
    console.result(f"{profile.title}, {len(document.sizes)} sizes: {document.folder}")


def _text(summary: SqnrSummary | None) -> str:
    return summary.text if summary else "-"
