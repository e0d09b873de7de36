"""``qnn-sd profile --hub``: what a build's components take on devices of Qualcomm AI Hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from qnn_sd import qnn_provider, resources
from qnn_sd.ai_hub import ALL_DEVICES, HubService, binaries_for, one_per_soc, qairt_to_ask_for
from qnn_sd.artifact import Artifact
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.build_options import BuildRequest, build_options
from qnn_sd.cli.docs import AI_HUB
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.help import MEASUREMENT, TARGET, HelpCommand, option
from qnn_sd.cli.options import component_option, deadline_option, output_options, plot_option, refuse_bad_output
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.profile_document import profile_document
from qnn_sd.cli.profile_estimates import make_estimates
from qnn_sd.cli.profile_facts import facts_of
from qnn_sd.cli.profile_jobs import (
    Destination,
    SubmittedJobs,
    binary_of,
    bytes_to_send,
    results_of,
    submit,
)
from qnn_sd.cli.profile_plot import write_plot
from qnn_sd.cli.profile_refusals import Refusals
from qnn_sd.cli.profile_report import show
from qnn_sd.cli.profile_results import keep
from qnn_sd.cli.upload_consent import Upload, allow_upload_option, require_consent, short_name
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError, UsageError
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.toolchain import load_toolchains


@click.command(
    "profile",
    cls=HelpCommand,
    examples=(
        ("Measure the demo on a phone in the cloud", 'qnn-sd profile --hub "Samsung Galaxy S24"'),
        (
            "Measure the UNet of Stable Diffusion 1.5 on two devices, and draw the times",
            'qnn-sd profile --model sd15 --component unet --hub "8 Gen 3" --hub "8 Elite" --plot times.svg',
        ),
    ),
    docs_page=AI_HUB,
)
@option(
    "--hub",
    "names",
    group=TARGET,
    multiple=True,
    metavar="DEVICE",
    default_text="none",
    help="Device at AI Hub: its name, its chip's or its SoC's. Repeatable; all for one of every SoC with a profile.",
)
@allow_upload_option
@component_option(TEXT_TO_IMAGE_COMPONENTS, "measure")
@option(
    "--iterations",
    group=MEASUREMENT,
    type=click.IntRange(min=1),
    metavar="N",
    default_text="AI Hub's, 100",
    help="Calls that each job measures at most.",
)
@deadline_option(
    MEASUREMENT, "How long to wait for the jobs; they go on at AI Hub, and qnn-sd hub resume waits for them."
)
@option(
    "--estimate",
    group=MEASUREMENT,
    is_flag=True,
    help="Also make our own estimates, by compiling once more: minutes for Stable Diffusion 1.5. They are kept.",
)
@plot_option("the times of each component on each device")
@build_options
@output_options
def profile_command(
    names: tuple[str, ...],
    allow_upload: bool,
    components: tuple[str, ...],
    iterations: int | None,
    deadline: float,
    estimate: bool,
    plot: Path | None,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Measure each component on real devices of Qualcomm AI Hub, which needs an account there.

    Each context binary is uploaded once and profiled in a job of its own. A command that was stopped finds its jobs
    again.
    """
    if not names:
        raise UsageError("Nothing says which device", hint='Name one: --hub "Samsung Galaxy S24", or --hub all.')
    if plot is not None:
        refuse_bad_output(plot, ".svg", "The image is SVG.")
    cache = build_request.cache or resources.cache()
    service = HubService.open(cache, console)
    destinations = _destinations(service, names)
    qairt = qairt_to_ask_for(service, _compiler())
    pipeline = build_request.pipeline(console)
    profiles = list({each.binaries.profile.soc: each.binaries.profile for each in destinations}.values())
    if build_request.dry_run:
        uploads = bytes_to_send(pipeline, profiles, components)
        place = short_name(service)
        show_plan(console, pipeline, lambda planned: _build_all(planned, profiles), uploads=uploads, place=place)
        jobs = len(components) * len(destinations)
        on = ", ".join(each.device.name for each in destinations)
        console.result(f"Then {jobs} profile job{'s' * (jobs > 1)} there, where they haven't run already, on {on}.")
        return
    require_consent(service, Upload(pipeline.identity, "context binaries", components), allow_upload, console)
    announce(pipeline, lambda planned: _build_all(planned, profiles), console, build_request)
    refused = Refusals(console, alone=len(destinations) == 1)
    bundles = _bundles(pipeline, profiles, refused)
    submitted = _submit(service, pipeline, destinations, bundles, components, qairt, iterations or 0, refused)
    if estimate:
        for profile in [each for each in profiles if each.soc in bundles]:
            make_estimates(pipeline, profile, bundles[profile.soc].folder.name, components, cache, console)
    if not submitted:
        raise refused.first
    found, end = results_of(service, submitted, deadline * 60, cache, console)
    error = end or refused.error
    document = profile_document(found, service.is_stand_in, error)
    keep(document, cache)
    show(console, document)
    if plot is not None:
        write_plot(plot, document)
        console.say(f"written to {plot}")
    console.document(document)
    if error is not None:
        raise error


def _destinations(service: HubService, names: Sequence[str]) -> list[Destination]:
    """The devices that were named, each once, with whose binaries they get.

    Raises:
        HubDeviceError: there is none of a name, or no binaries load on it.
        SettingError: ``all`` beside a name.
    """
    everything = [each for each in names if each.strip().lower() == ALL_DEVICES]
    if everything and len(names) > 1:
        raise SettingError("--hub all has no meaning beside another --hub", hint="Leave one of them out.")
    devices = one_per_soc(service.devices()) if everything else [service.find_device(each) for each in names]
    return [Destination(each, binaries_for(each)) for each in dict.fromkeys(devices)]


def _compiler() -> str:
    """QAIRT version of the compiler that is installed."""
    toolchains = load_toolchains()
    return (toolchains.of(qnn_provider.versions()) or toolchains.chosen).qairt


def _build_all(pipeline: BuildPipeline, profiles: Sequence[DeviceProfile]) -> list[Artifact]:
    return [pipeline.build_bundle(each, TEXT_TO_IMAGE_COMPONENTS) for each in profiles]


def _bundles(pipeline: BuildPipeline, profiles: Sequence[DeviceProfile], refused: Refusals) -> dict[str, OpenBundle]:
    """The bundles by SoC; one that is refused loses nothing of the others."""
    bundles = {}
    for each in profiles:
        with refused.kept():
            bundles[each.soc] = pipeline.bundle(each, TEXT_TO_IMAGE_COMPONENTS)
    return bundles


def _submit(
    service: HubService,
    pipeline: BuildPipeline,
    destinations: Sequence[Destination],
    bundles: dict[str, OpenBundle],
    components: Sequence[str],
    qairt: str,
    iterations: int,
    refused: Refusals,
) -> list[SubmittedJobs]:
    """Submits the jobs of all devices; what is too large is found before any of it is sent."""
    files = {
        soc: {component: binary_of(bundle, component) for component in components} for soc, bundle in bundles.items()
    }
    service.refuse_too_large({f"{name} of {soc}": path for soc, each in files.items() for name, path in each.items()})
    submitted = []
    for each in [each for each in destinations if each.binaries.profile.soc in bundles]:
        if each.binaries.remark:
            refused.console.warn(each.binaries.remark)
        soc = each.binaries.profile.soc
        facts = facts_of(bundles[soc], pipeline.model, each.device, each.binaries, qairt, iterations)
        with refused.kept():
            submitted.append(submit(service, facts, each, files[soc]))
    return submitted
