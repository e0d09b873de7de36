"""``qnn-sd bench``: what a bundle's components take on a phone."""

from __future__ import annotations

from pathlib import Path

import click

from qnn_sd import resources
from qnn_sd.cli.bench_report import BenchReportContext, as_document, show
from qnn_sd.cli.build_options import BuildRequest, build_options
from qnn_sd.cli.options import component_option, device_option, output_options, refuse_bad_output
from qnn_sd.cli.plan import show_plan
from qnn_sd.console import Console, json_text
from qnn_sd.errors import TargetError
from qnn_sd.output_files import written_aside
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS
from qnn_sd.targets.adb.bench import BenchSettings, Refused, measure
from qnn_sd.targets.adb.client import Adb, choose_phone, is_virtual, phone_info, profile_of
from qnn_sd.targets.adb.session.deployment import PERF_MODES


@click.command("bench")
@device_option
@click.option("--soc", help="SoC whose context binaries run [the phone's].")
@component_option(TEXT_TO_IMAGE_COMPONENTS, "measure")
@click.option(
    "--perf-mode",
    "perf_modes",
    multiple=True,
    default=PERF_MODES[:1],
    show_default=True,
    metavar="MODE",
    help=f"The HTP's: {', '.join(PERF_MODES)}. Repeatable.",
)
@click.option("--rounds", type=int, default=20, show_default=True, help="Calls in a warm worker.")
@click.option("--cold", type=int, default=3, show_default=True, help="Fresh workers: start, load, first call.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="JSON file to write as well.")
@build_options
@output_options
def bench_command(
    device: str | None,
    soc: str | None,
    components: tuple[str, ...],
    perf_modes: tuple[str, ...],
    rounds: int,
    cold: int,
    output: Path | None,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Measure a phone: cold and warm calls of each component on its HTP, middle and spread."""
    settings = BenchSettings(components, tuple(dict.fromkeys(perf_modes)), rounds, cold)
    if output is not None:
        refuse_bad_output(output, ".json", "Measurements are saved as JSON.")
    phone = choose_phone(Adb(), device)
    profile = profile_of(phone, soc)
    pipeline = build_request.pipeline(console)
    if build_request.dry_run:
        pipeline.build_bundle(profile, TEXT_TO_IMAGE_COMPONENTS)
        show_plan(console, pipeline)
        return
    # The bundle that qnn-sd run has, whichever of its components are measured.
    bundle = pipeline.bundle(profile, TEXT_TO_IMAGE_COMPONENTS)
    passes = bundle.info.passes(pipeline.model.guidance)
    subject = BenchReportContext(phone.serial, phone_info(phone), is_virtual(phone), profile, pipeline.model, passes)
    measurement = measure(phone, bundle, settings, passes, build_request.cache or resources.cache(), console)
    document = as_document(subject, settings, measurement)
    show(console, subject, settings, measurement)
    console.document(document)
    if output is not None:
        with written_aside(output) as aside:
            aside.write_text(json_text(document), "utf-8")
        console.say(f"written to {output}")
    refused = [each for each in measurement.results if isinstance(each, Refused)]
    if len(refused) == len(measurement.results):
        raise TargetError(
            f"Nothing could be measured on {phone.serial}",
            why=f"{refused[0].component}: {refused[0].reason}",
            hint="docs/phone.md lists known causes; the worker's log says more with --debug.",
        ) from refused[0].cause
