"""``qnn-sd compile --via hub``: context binaries that Qualcomm AI Hub compiles, verified here as those made here."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import click

from qnn_sd import qnn_provider, resources
from qnn_sd.ai_hub import CloudDevice, HubService
from qnn_sd.artifact import Artifact
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.compile_report import Compiled, compile_document, show_compiled
from qnn_sd.cli.documents.build import HubCompile, HubJobLink
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.help import TARGET, option
from qnn_sd.cli.options import Command, deadline_option, open_profile, refuse_typed
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import WHOLE, Copies
from qnn_sd.cli.upload_consent import Upload, allow_upload_option, require_consent
from qnn_sd.config import DeviceProfile, takes_int16_operands
from qnn_sd.console import Console
from qnn_sd.errors import HubDeviceError, SettingError
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.pipeline.stages.hub_jobs import HubOrder
from qnn_sd.pipeline.stages.hub_source import HubSource
from qnn_sd.toolchain import load_toolchains

# AI Hub ends its jobs after eight hours itself.
_DEADLINE_MINUTES = 480


@dataclass(frozen=True)
class HubChoices:
    """What was typed of AI Hub.

    Attributes:
        source: which form of the graphs is sent.
        qairt: release of QAIRT; None for that of the compiler that is installed.
        deadline: minutes to wait for its jobs.
        allow_upload: whether a user's checkpoint may be sent without a question.
    """

    source: HubSource
    qairt: str | None
    deadline: float
    allow_upload: bool


_OPTIONS = (
    option(
        "--via",
        group=TARGET,
        type=click.Choice(["local", "hub"]),
        default="local",
        help="Who compiles: the compiler that is installed, or Qualcomm AI Hub with your account there.",
    ),
    option(
        "--hub-source",
        "hub_source",
        group=TARGET,
        type=click.Choice(["qdq", "aimet"]),
        default="qdq",
        help="What AI Hub gets: QDQ graphs, or float graphs with encodings in AIMET's format.",
    ),
    option(
        "--qairt",
        group=TARGET,
        metavar="RELEASE",
        default_text="that of the installed compiler",
        help="QAIRT release that AI Hub compiles with, such as 2.45; a phone's libraries must not be older.",
    ),
    deadline_option(
        TARGET,
        "How long to wait for AI Hub's jobs; they go on there, and the same command finds them.",
        _DEADLINE_MINUTES,
    ),
    allow_upload_option,
)
_OF_HUB = {"hub_source", "qairt", "deadline", "allow_upload"}


def hub_options(command: Command) -> Command:
    """``--via`` and what goes with it, handed on as ``hub``: None for the local compiler."""

    @functools.wraps(command)
    def with_hub(via: str, hub_source: str, qairt: str | None, deadline: float, allow_upload: bool, **rest: Any) -> Any:
        if via == "hub":
            choices = HubChoices(cast(HubSource, hub_source), qairt, deadline, allow_upload)
            return command(hub=choices, **rest)
        others = {each.name for each in click.get_current_context().command.params if each.name} - _OF_HUB
        refuse_typed(
            others,
            "without --via hub",
            why="The compiler that is installed is used, and nothing is sent.",
            hint="Add --via hub, or leave it out.",
        )
        return command(hub=None, **rest)

    wrapped: Command = with_hub
    for each in reversed(_OPTIONS):
        wrapped = each(wrapped)
    return wrapped


def compile_at_hub(
    socs: tuple[str, ...],
    multi_soc: bool,
    linked: bool,
    hub: HubChoices,
    copies: Copies,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Builds, sends, verifies and reports the binaries of all components for one SoC."""
    _refuse_several(socs, multi_soc, build_request)
    profile = open_profile(socs[0], console)
    qairt = _release(hub.qairt, profile, build_request.verify)
    if hub.source == "aimet" and not takes_int16_operands(profile.htp_arch):
        raise SettingError(
            f"--hub-source aimet can't be compiled for {profile.soc}",
            why=f"Its HTP v{profile.htp_arch} needs keys and values at 8 bits, and encodings give them 16.",
            hint="Send QDQ graphs: leave --hub-source out.",
        )
    copies.check([WHOLE], build_request.cache)
    service = HubService.open(build_request.cache or resources.cache(), console)
    device = _device(service, profile)
    _require_release(service, qairt, build_request.verify)
    order = HubOrder(service, device, qairt, hub.source, linked, hub.deadline * 60)
    pipeline = build_request.pipeline(console)
    copies.refuse_another("bundle", {WHOLE: f"{pipeline.model.name}.{profile.soc}.{order.suffix}"})

    def build(planned: BuildPipeline) -> Artifact:
        return planned.build_hub_bundle(profile, order)

    if build_request.dry_run:
        show_plan(console, pipeline, build, uploads=pipeline.hub_uploads(order), place=order.compiler)
        return
    graphs = "QDQ graphs" if hub.source == "qdq" else "float graphs and encodings"
    require_consent(service, Upload(pipeline.identity, graphs, pipeline.components), hub.allow_upload, console)
    announce(pipeline, build, console, build_request, shortcut="qnn-sd run PROMPT --target cpu")
    console.say(
        f"{order.compiler} compiles for {device.name} with QAIRT {qairt}; how long its jobs take isn't known before"
    )
    made = build(pipeline)
    console.kept.build_is_whole()
    compiled = Compiled((profile,), made, copies.put({WHOLE: made}, console)[WHOLE], order.suffix)
    how = _how(pipeline, order)
    show_compiled(console, pipeline, [compiled])
    for job in how.jobs:
        console.result(f"{job.component}, {job.kind} job {job.id}: {job.url}")
    console.result(f"compiled by {how.compiled_by}, QAIRT {how.qairt}, for {how.hub_device}")
    console.document(compile_document(pipeline, build_request, [compiled], {}, several=False, hub=how))


def _refuse_several(socs: tuple[str, ...], multi_soc: bool, build_request: BuildRequest) -> None:
    if multi_soc or len(socs) > 1:
        raise SettingError("AI Hub compiles for one SoC", hint="Name one with --soc for each qnn-sd compile --via hub.")
    if build_request.further_sizes:
        raise SettingError("AI Hub compiles one size", hint="Name one with --size for each qnn-sd compile --via hub.")


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def _release(typed: str | None, profile: DeviceProfile, verify: bool) -> str:
    """The QAIRT release to compile with, such as ``2.50``.

    Raises:
        SettingError: it is no release, nobody knows which one is installed, or it doesn't suit.
    """
    known = load_toolchains().of(qnn_provider.versions())
    if typed is None:
        if known is None:
            raise SettingError(
                "Which QAIRT should AI Hub compile with?",
                why="Nobody tried the installed versions together, so their QAIRT isn't known.",
                hint="Say it with --qairt, such as --qairt 2.50; qnn-sd doctor names the versions.",
            )
        return known.name
    release = typed.strip().removeprefix("v")
    parts = release.split(".")
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        raise SettingError(f"{typed!r} is no release of QAIRT", hint="Give two numbers, such as --qairt 2.50.")
    release = ".".join(parts[:2])
    first = profile.limits.first_qairt
    if first is not None and _numbers(release) < _numbers(first):
        raise SettingError(
            f"QAIRT {release} doesn't know {profile.title}",
            why=f"{first} is the first that does.",
            hint=f"Give --qairt {first} or a newer one.",
        )
    if known is not None and verify and _numbers(release) > _numbers(known.name):
        raise SettingError(
            f"What QAIRT {release} compiles can't be verified here",
            why=f"The emulator is of {known.name}, and refuses newer binaries (5000), as an older phone does.",
            hint=f"Leave --qairt out for {known.name}, or add --no-verify.",
        )
    return release


def _device(service: HubService, profile: DeviceProfile) -> CloudDevice:
    """A device that AI Hub compiles for.

    Raises:
        HubDeviceError: the account has none with the SoC; a proxy's binaries aren't for it.
    """
    try:
        return service.find_device(profile.soc)
    except HubDeviceError as error:
        raise HubDeviceError(
            error.what,
            why="AI Hub compiles for the chip of one of its devices.",
            hint="Compile it here: leave --via hub out. qnn-sd hub devices lists the account's devices.",
        ) from error


def _require_release(service: HubService, qairt: str, verify: bool) -> None:
    """Raises before anything is sent; a job that asks for what isn't there only fails late."""
    versions = service.qairt_versions()
    if qairt not in versions:
        raise SettingError(
            f"{'The stand-in' if service.is_stand_in else 'AI Hub'} has no QAIRT {qairt}",
            why=f"It has {', '.join(versions) or 'none'}. A binary must not be newer than the libraries on the phone.",
            hint=_another_release(versions, qairt, verify),
        )


def _another_release(versions: Sequence[str], qairt: str, verify: bool) -> str:
    """What to type where AI Hub doesn't have a release: another that it has, or else the local compiler.

    Args:
        versions: that it has, oldest first.
        qairt: the release.
        verify: whether the emulator is to load what is compiled.
    """
    if older := [each for each in versions if _numbers(each) < _numbers(qairt)]:
        return f"--qairt {older[-1]} compiles what newer libraries load, too."
    known = load_toolchains().of(qnn_provider.versions())
    here = "Compile it here, which needs neither --via hub nor --qairt."
    if not versions or (known is not None and known.name == qairt):
        return here
    if known is not None and known.name in versions:
        return f"--qairt {known.name}, or leave --qairt out: for libraries of {known.name} or newer."
    nearest = versions[0]
    unverified = known is not None and verify and _numbers(nearest) > _numbers(known.name)
    return f"--qairt {nearest}{' --no-verify' * unverified}: for libraries of {nearest} or newer."


def _how(pipeline: BuildPipeline, order: HubOrder) -> HubCompile:
    """How AI Hub compiled, by the manifests of what it made."""
    links = [
        HubJobLink(component=report.component, **job)
        for report in pipeline.reports
        if report.stage == "compile" and "hub" in report.metadata
        for job in report.metadata["hub"]["jobs"]
    ]
    origin: dict[str, Any] = dict(order.origin)
    return HubCompile(hub_device=origin.pop("device"), jobs=links, **origin)
