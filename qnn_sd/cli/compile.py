"""``qnn-sd compile``: from checkpoint to context binaries, verified on the emulator."""

from __future__ import annotations

import click

from qnn_sd.cli.build_options import BuildRequest, build_options
from qnn_sd.cli.options import DEFAULT_SOC, output_options
from qnn_sd.cli.plan import show_plan
from qnn_sd.config import load_profile
from qnn_sd.console import Console
from qnn_sd.verification import SQNR_FIGURES


@click.command("compile")
@click.option("--soc", default=DEFAULT_SOC, show_default=True, help="SoC to compile for, such as sm8550.")
@build_options
@output_options
def compile_command(
    soc: str,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Export, quantize and compile a model for one SoC, and verify each component."""
    profile = load_profile(soc)
    pipeline = build_request.pipeline(console)
    if build_request.dry_run:
        pipeline.build_bundle(profile)
        show_plan(console, pipeline)
        return
    bundle = pipeline.bundle(profile)
    rows, document = [], {}
    verified = bundle.info.verification or {}
    for report in pipeline.reports:
        if report.stage == "compile":
            size = report.metadata["context_binary_bytes"]
            figures = verified.get(report.component)
            binary, floats = (figures.binary_against_qdq, figures.qdq_against_float) if figures else (None, None)
            ranges = "given" if report.component in pipeline.encodings else "measured"
            state = "cached" if report.cached else "built"
            level = report.metadata["optimization_mode"]
            shown = [each.text if each else "-" for each in (binary, floats)]
            rows.append([report.component, size / 1e6, *shown, ranges, level, report.seconds, state])
            document[report.component] = {
                "context_binary_bytes": size,
                "verification": figures.model_dump(mode="json") if figures else None,
                "seconds": round(report.seconds, 3),
                "cached": report.cached,
                "optimization_mode": level,
                "compiler_deaths": report.metadata["compiler_deaths"],
                "encodings": str(pipeline.encodings.get(report.component, "measured")),
            }
    console.table(["component", "MB", "binary/QDQ, dB", "QDQ/float, dB", "ranges", "level", "s", ""], rows)
    if verified:
        console.result(SQNR_FIGURES)
    console.result(f"{profile.title}, dl_mode {profile.dl_mode}: {bundle.folder}")
    console.document(
        {
            "model": pipeline.model.name,
            "soc": profile.soc,
            "dl_mode": profile.dl_mode,
            "verified": bundle.info.verified,
            "bundle": str(bundle.folder),
            "calibration": {
                "prompts": str(build_request.prompts or pipeline.model.calibration.prompts),
                "samples": next(
                    (
                        dict(each.metadata)
                        for each in pipeline.reports
                        if (each.stage, each.component) == ("calibrate", "all")
                    ),
                    None,  # all encodings were given
                ),
            },
            "components": document,
        }
    )
