"""``qnn-sd verify``: every gate from the float model to the context binaries, and a report to send."""

from __future__ import annotations

from pathlib import Path

import click

from qnn_sd.artifact import Artifact
from qnn_sd.cli.bisect import run_bisection
from qnn_sd.cli.bisect_options import BisectRequest, bisect_options
from qnn_sd.cli.build_options import BuildRequest, quantize_options
from qnn_sd.cli.docs import VERIFICATION
from qnn_sd.cli.documents import ErrorDetail, VerifyDocument
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.help import GENERATION, OUTPUT, HelpCommand, option
from qnn_sd.cli.image_comparison import Comparison, compare_images
from qnn_sd.cli.options import open_profile, output_options, refuse_bad_output, soc_option
from qnn_sd.cli.phone_report import private_names
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import image_size
from qnn_sd.cli.verification_report import write_verification_report
from qnn_sd.cli.verified_build import Refusal, show_figures, verified_build
from qnn_sd.cli.verify_binary import binary_options, verify_foreign
from qnn_sd.cli.verify_hub import run_hub_verification
from qnn_sd.cli.verify_hub_options import HubRequest, hub_options
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.export.checkpoint import Sources
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.verification import ComponentVerification


@click.command(
    "verify",
    cls=HelpCommand,
    examples=(
        ("Verify the demo model's build for a Snapdragon 8 Gen 3", "qnn-sd verify --soc sm8650"),
        (
            "Verify Stable Diffusion 1.5 with your own weights, and write a report to send",
            "qnn-sd verify --checkpoint dream.safetensors --report report.md",
        ),
    ),
    docs_page=VERIFICATION,
)
@hub_options
@bisect_options
@soc_option("whose context binaries are verified")
@option(
    "--report",
    group=OUTPUT,
    type=click.Path(path_type=Path),
    metavar="FILE.md",
    default_text="none",
    help="Report to send, with images beside it. It names no user, machine, path or checkpoint.",
)
@option(
    "--prompt",
    group=GENERATION,
    metavar="TEXT",
    default_text="one that wasn't calibrated with",
    help="Prompt of the report's images.",
)
@binary_options
@quantize_options
@output_options
def verify_command(
    source: Path | None,
    against: Path | None,
    soc: str,
    report: Path | None,
    prompt: str | None,
    bisect_request: BisectRequest | None,
    hub_request: HubRequest | None,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Verify QDQ graphs against the float model, and context binaries against QDQ graphs.

    QDQ graphs run on the CPU, context binaries on the HTP emulator. A component below a limit of SQNR is refused.
    Builds first what isn't in the cache. With --hub they also run on a real device at Qualcomm AI Hub.
    """
    if hub_request is not None:
        run_hub_verification(hub_request, report, build_request, console)
        return
    profile = open_profile(soc, console)
    if source is not None or against is not None:
        verify_foreign(source, against, profile, build_request.cache, console)
        return
    if bisect_request is not None:
        run_bisection(bisect_request, profile, build_request, console)
        return
    if report is not None:
        refuse_bad_output(report, ".md", "The report is Markdown.", beside=".png")
    pipeline = build_request.pipeline(console)
    # The report's images; the emulator generates one where that takes seconds.
    images = [] if report is None else [pipeline.image_work(each) for each in ("float", "qdq")]

    def build(planned: BuildPipeline) -> Artifact:
        return planned.build_bundle(profile)

    if build_request.dry_run:
        show_plan(console, pipeline, build, images)
        return
    announce(
        pipeline,
        build,
        console,
        build_request,
        afterwards=[("generate", each) for each in images],
    )
    made = verified_build(pipeline, profile, reports=report is not None)
    verified, refused = made.components, made.refused
    show_figures(console, verified)
    comparison = None
    if report is not None:
        if refused is None:
            comparison = compare_images(pipeline, profile, prompt or pipeline.sample_prompt(), console)
        privacy = private_names(build_request, report)
        for path in write_verification_report(
            report, pipeline, profile, verified, comparison, refused, privacy, build_request.sources != Sources()
        ):
            console.result(str(path))
    console.document(_document(pipeline, profile, verified, comparison, report, refused))
    if refused is not None:
        raise refused


def _document(
    pipeline: BuildPipeline,
    profile: DeviceProfile,
    verified: dict[str, ComponentVerification],
    comparison: Comparison | None,
    report: Path | None,
    refused: Refusal | None,
) -> VerifyDocument:
    return VerifyDocument(
        model=pipeline.model.name,
        size=image_size(pipeline.model),
        soc=profile.soc,
        components=verified,
        images=None if comparison is None else comparison.document,
        file=None if report is None else str(report),
        error=None if refused is None else ErrorDetail.of(refused),
    )
