"""``qnn-sd report``: a verified build on one page, with its images and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from qnn_sd import output_files, resources
from qnn_sd.artifact import Artifact
from qnn_sd.artifact_manifest import Work
from qnn_sd.cli.build_options import BuildRequest, quantize_options
from qnn_sd.cli.docs import REPORT
from qnn_sd.cli.documents import ReportDocument
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.help import GENERATION, MEASUREMENT, OUTPUT, HelpCommand, option
from qnn_sd.cli.image_comparison import Comparison, compare_images
from qnn_sd.cli.options import open_profile, output_options, refuse_bad_output, soc_option
from qnn_sd.cli.phone_report import private_names
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.redacted import redacted
from qnn_sd.cli.report_commands import commands_to_type
from qnn_sd.cli.report_document import measured_cost, report_document
from qnn_sd.cli.verification_report import verification_document
from qnn_sd.cli.verified_build import Refusal, show_figures, verified_build
from qnn_sd.config import DeviceProfile, ModelConfig
from qnn_sd.console import Console
from qnn_sd.errors import QnnSdError, VerificationError
from qnn_sd.export.checkpoint import Sources
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.report import PromptImages, report_page
from qnn_sd.targets.adb.diagnostics import Privacy


@click.command(
    "report",
    cls=HelpCommand,
    examples=(
        ("Verify the demo model's build for a Snapdragon 8 Gen 3, and show it on a page", "qnn-sd report --soc sm8650"),
        (
            "Report your own checkpoint, with two prompts and the estimated time of each block",
            'qnn-sd report --checkpoint dream.safetensors --prompt "a cat" --prompt "a hat" --cost',
        ),
    ),
    docs_page=REPORT,
)
@soc_option("whose context binaries are reported")
@option(
    "-o",
    "--output",
    group=OUTPUT,
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    default=Path("report.html"),
    help="Page to write. It names no user, machine, path or checkpoint.",
)
@option(
    "--prompt",
    "prompt_texts",
    group=GENERATION,
    multiple=True,
    metavar="TEXT",
    default_text="some that weren't calibrated with",
    help="Prompt of an image. Repeatable; the emulator generates the first.",
)
@option(
    "--cost/--no-cost",
    group=MEASUREMENT,
    default=False,
    help="Estimate time and memory traffic of each block as well, as qnn-sd cost does.",
)
@quantize_options
@output_options
def report_command(
    soc: str,
    output: Path,
    prompt_texts: tuple[str, ...],
    cost: bool,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Write one HTML page that shows a verified build: images, accuracy, rounding, sizes, time.

    Builds and verifies first what isn't in the cache. A build that is refused gets its page, too. The page fetches
    nothing: it can be sent as it is.
    """
    profile = open_profile(soc, console)
    refuse_bad_output(output, ".html", "The report is HTML.")
    pipeline = build_request.pipeline(console)
    texts = prompt_texts or _default_prompts(pipeline)
    images = _image_work(pipeline, len(texts))

    def build(planned: BuildPipeline) -> Artifact:
        return planned.build_bundle(profile)

    if build_request.dry_run:
        show_plan(console, pipeline, build, images)
        return
    announce(pipeline, build, console, build_request, afterwards=[("generate", each) for each in images])
    made = verified_build(pipeline, profile, reports=True)
    refused = made.refused
    show_figures(console, made.components)
    if refused is None:
        comparisons = [
            compare_images(pipeline, profile, text, console, emulator=number == 0) for number, text in enumerate(texts)
        ]
    else:
        comparisons = _images_of_refused(build_request, profile, texts[0], refused, console)
    measured = measured_cost(build_request, profile, console) if cost and refused is None else None
    privacy = private_names(build_request, output)
    requests = [each.request for each in comparisons]
    commands = commands_to_type(build_request, profile.soc, requests, refused is None, privacy)
    first, is_own = comparisons[0] if refused is None else None, build_request.sources != Sources()
    verification = verification_document(pipeline, profile, made.components, first, refused, is_own)
    cache = build_request.cache or resources.cache()
    document = report_document(verification, pipeline, profile, comparisons, measured, commands, cache)
    _write(output, document, comparisons, privacy)
    console.result(str(output))
    console.document(document.model_copy(update={"file": str(output)}))
    if refused is not None:
        raise refused


def _images_of_refused(
    build_request: BuildRequest, profile: DeviceProfile, prompt: str, refused: Refusal, console: Console
) -> list[Comparison]:
    """What a build that a gate refuses would generate: noise is seen at once. None where that takes long, or fails."""
    unverified = replace(build_request, verify=False).pipeline(console)
    if _is_large(unverified.model) or not isinstance(refused, VerificationError):
        return []
    try:
        return [compare_images(unverified, profile, prompt, console)]
    except QnnSdError as error:
        console.warn(f"no image of what is refused: {error.what}")
        return []


def _default_prompts(pipeline: BuildPipeline) -> tuple[str, ...]:
    """Prompts that nothing was fitted to: two, or one of a model that takes minutes for an image."""
    count = 1 if _is_large(pipeline.model) else 2
    known = dict.fromkeys(each.prompt for each in reversed(pipeline.verification_plan()))
    return tuple(known)[:count]


def _image_work(pipeline: BuildPipeline, count: int) -> list[Work]:
    """What there is to do for the images: the emulator generates the first where that takes seconds."""
    work = [pipeline.image_work(form, count=count) for form in ("float", "qdq")]
    return work if _is_large(pipeline.model) else [*work, pipeline.image_work("emulator")]


def _is_large(model: ModelConfig) -> bool:
    return model.verification.emulator_minutes > 0


def _write(output: Path, document: ReportDocument, comparisons: Sequence[Comparison], privacy: Privacy) -> None:
    """Writes the page.

    Raises:
        OutputError: it can't be written; an earlier one stays as it was.
    """
    told = redacted(document, privacy)
    prompts = [
        PromptImages(comparison.images, each["images"], each["request"])
        for comparison, each in zip(comparisons, told["prompts"], strict=True)
    ]
    with output_files.written_aside(output) as aside:
        aside.write_text(report_page(told, prompts), "utf-8")
