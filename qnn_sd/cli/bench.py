"""``qnn-sd bench``: what a bundle's components take on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qnn_sd import resources
from qnn_sd.artifact import Artifact
from qnn_sd.cli.bench_report import BenchReportContext, as_document, show
from qnn_sd.cli.build_options import BuildRequest, build_options
from qnn_sd.cli.docs import PHONE
from qnn_sd.cli.documents import BenchDocument
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.help import MEASUREMENT, OUTPUT, HelpCommand, option
from qnn_sd.cli.options import component_option, device_option, output_options, refuse_bad_output, soc_option
from qnn_sd.cli.phone_report import private_names
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.target_options import chosen_profile
from qnn_sd.console import Console, json_text
from qnn_sd.errors import QnnSdError, TargetError
from qnn_sd.output_files import written_aside
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.targets.adb.bench import BenchSettings, Measurement, Refused, measure
from qnn_sd.targets.adb.client import Adb, choose_phone, is_virtual, phone_info
from qnn_sd.targets.adb.diagnostics import Privacy
from qnn_sd.targets.adb.session.deployment import PERF_MODES


@click.command(
    "bench",
    cls=HelpCommand,
    examples=(
        ("Measure all components on the phone that is connected", "qnn-sd bench -o bench.json"),
        (
            "Measure the UNet in two perf modes",
            "qnn-sd bench --device R5CT1234ABC --component unet --perf-mode burst --perf-mode balanced",
        ),
    ),
    docs_page=PHONE,
)
@device_option
@soc_option("whose context binaries run", default_text="the phone's")
@component_option(TEXT_TO_IMAGE_COMPONENTS, "measure")
@option(
    "--perf-mode",
    "perf_modes",
    group=MEASUREMENT,
    multiple=True,
    default=PERF_MODES[:1],
    metavar="MODE",
    help=f"The HTP's: {', '.join(PERF_MODES)}. Repeatable.",
)
@option("--rounds", group=MEASUREMENT, type=int, metavar="N", default=20, help="Calls in a warm worker.")
@option(
    "--cold",
    group=MEASUREMENT,
    type=int,
    metavar="N",
    default=3,
    help="Fresh workers, each for its start, its load and its first call.",
)
@option(
    "-o",
    "--output",
    group=OUTPUT,
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    default_text="none",
    help="File for the JSON document, to send: the phone's serial number isn't in it.",
)
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
    """Measure cold and warm calls of each component on a phone's HTP.

    Shows the median and percentiles of each, with the phone's temperature and battery before and after.
    """
    settings = BenchSettings(components, tuple(dict.fromkeys(perf_modes)), rounds, cold)
    if output is not None:
        refuse_bad_output(output, ".json", "Measurements are saved as JSON.")
    build_request.announce(console)
    phone = choose_phone(Adb(), device, console.say)
    profile = chosen_profile(phone, soc, console)
    pipeline = build_request.pipeline(console)

    def build(planned: BuildPipeline) -> Artifact:
        return planned.build_bundle(profile, TEXT_TO_IMAGE_COMPONENTS)

    if build_request.dry_run:
        show_plan(console, pipeline, build)
        return
    announce(pipeline, build, console, build_request)
    # The bundle that qnn-sd run has, whichever of its components are measured.
    bundle = pipeline.bundle(profile, TEXT_TO_IMAGE_COMPONENTS)
    passes = bundle.info.passes(pipeline.model.guidance)
    subject = BenchReportContext(phone.serial, phone_info(phone), is_virtual(phone), profile, pipeline.model, passes)
    measurement = measure(phone, bundle, settings, passes, build_request.cache or resources.cache(), console)
    error = _error_of(measurement, phone.serial)
    document = as_document(subject, settings, measurement, error)
    show(console, subject, settings, measurement)
    console.document(document)
    if output is not None:
        with written_aside(output) as aside:
            aside.write_text(json_text(_without_names(document, private_names(build_request, output))), "utf-8")
        console.say(f"written to {output}")
    if error is not None:
        raise error


def _error_of(measurement: Measurement, serial: str) -> QnnSdError | None:
    """A failure where the phone went away, or nothing could be measured."""
    if measurement.broken_off is not None:
        return measurement.broken_off
    refused = [each for each in measurement.results if isinstance(each, Refused)]
    if len(refused) < len(measurement.results):
        return None
    error = TargetError(
        f"Nothing could be measured on {serial}",
        why=f"{refused[0].component}: {refused[0].reason}",
        hint="docs/phone.md lists known causes; the worker's log says more with --debug.",
    )
    error.__cause__ = refused[0].cause
    return error


def _without_names(document: BenchDocument, privacy: Privacy) -> dict[str, Any]:
    """The document for others: without the phone's serial number, and without this user's names in free text.

    Args:
        document: as it is printed.
        privacy: the private names; it learns the serial.
    """
    content = document.content
    privacy.hide_serial(document.phone.device)
    content["phone"]["device"] = privacy.redact(document.phone.device)
    if document.error is not None:
        # Its name is a word of the format, whatever a user is called.
        content["error"] = {**privacy.redact(content["error"]), "name": document.error.name}
    for each in content["results"]:
        if "refused" in each:
            each["refused"] = privacy.redact(each["refused"])
    return content
