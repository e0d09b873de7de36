"""The document of ``qnn-sd profile``, from what AI Hub's jobs measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from qnn_sd import __version__, qnn_provider
from qnn_sd.ai_hub import HubJob, HubProfile, JobState
from qnn_sd.cli.documents import ErrorDetail, HubProfileDocument
from qnn_sd.cli.documents.hub_profile import HubMeasurement, HubOpTime, HubProfiledComponent, HubProfiledDevice
from qnn_sd.cli.profile_estimates import KeptEstimate
from qnn_sd.cli.profile_facts import ProfileFacts
from qnn_sd.config import find_profile
from qnn_sd.errors import QnnSdError
from qnn_sd.schemas import ImageSize

STAND_IN_NOTE = "A stand-in answered, not AI Hub: no device was used, and its times are made by a rule."
_SLOWEST = 10
# What the vendor published is of this model at this size.
_PUBLISHED_MODEL, _PUBLISHED_SIZE = "sd15", (512, 512)


@dataclass(frozen=True)
class ProfiledJob:
    """A component's job.

    Attributes:
        job: at AI Hub.
        sha256: of the context binary.
        state: as it was last seen.
        profile: what was measured; None where it hasn't ended well, or its profile can't be had.
        estimate: our own; None where there is none.
    """

    job: HubJob
    sha256: str
    state: JobState
    profile: HubProfile | None
    estimate: KeptEstimate | None


def profile_document(
    devices: Sequence[tuple[ProfileFacts, Mapping[str, ProfiledJob]]], stand_in: bool, error: QnnSdError | None
) -> HubProfileDocument:
    """The document.

    Args:
        devices: what was profiled on each, by component; all of one model.
        stand_in: whether a stand-in answered.
        error: what the command ends with, or None.
    """
    first = devices[0][0]
    return HubProfileDocument(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"qnn-sd": __version__, **qnn_provider.versions()},
        stand_in=stand_in,
        note=STAND_IN_NOTE if stand_in else None,
        model=first.model,
        size=ImageSize(width=first.width, height=first.height),
        steps=first.steps,
        passes=first.passes,
        devices=[_device(facts, jobs) for facts, jobs in devices],
        error=None if error is None else ErrorDetail.of(error),
    )


def _device(facts: ProfileFacts, jobs: Mapping[str, ProfiledJob]) -> HubProfiledDevice:
    profile = find_profile(facts.soc)
    return HubProfiledDevice(
        name=facts.device,
        os=facts.os,
        soc=facts.soc,
        title=facts.soc if profile is None else profile.title,
        proxy=facts.is_proxy,
        remark=facts.remark,
        qairt=facts.qairt or None,
        folder=facts.bundle,
        components=[_component(facts, name, job) for name, job in jobs.items()],
        image_seconds=image_seconds(facts, {name: job.profile for name, job in jobs.items()}),
        image=f"Computed, not measured: {how_an_image_is_computed(facts.steps, facts.passes)}.",
    )


def how_an_image_is_computed(steps: int, passes: int) -> str:
    """In words."""
    unet = f"{steps} x {passes} x UNet" if passes > 1 else f"{steps} x UNet"
    return f"{passes} x text encoder + {unet} + VAE decoder, medians; no image was made"


def image_seconds(facts: ProfileFacts, profiles: Mapping[str, HubProfile | None]) -> float | None:
    """The time of an image, computed from medians, in seconds; None where a component is missing."""
    return _seconds_of(facts.steps, facts.passes, {name: each.median_ms for name, each in profiles.items() if each})


def _seconds_of(steps: int, passes: int, medians_ms: Mapping[str, float]) -> float | None:
    calls = {"text_encoder": passes, "unet": steps * passes, "vae_decoder": 1}
    if not calls.keys() <= medians_ms.keys():
        return None
    return round(sum(count * medians_ms[name] for name, count in calls.items()) / 1000, 6)


def merged(document: HubProfileDocument, earlier: HubProfileDocument) -> HubProfileDocument:
    """A device's measurement with what an earlier one of the same build has besides.

    Args:
        document: of one device.
        earlier: of the same device and build; nothing of it is taken if its figures are of another QAIRT, or if one of
            the two is the stand-in's.
    """
    [now], [before] = document.devices, earlier.devices
    if document.stand_in != earlier.stand_in or now.qairt != before.qairt:
        return document
    components = {each.component: each for each in before.components if each.measured is not None}
    components |= {each.component: each for each in now.components if each.measured or each.component not in components}
    medians = {name: each.measured.median_ms for name, each in components.items() if each.measured is not None}
    update = {
        "components": [components[name] for name in sorted(components)],
        "image_seconds": _seconds_of(document.steps, document.passes, medians),
    }
    return document.model_copy(update={"devices": [now.model_copy(update=update)]})


def _component(facts: ProfileFacts, name: str, job: ProfiledJob) -> HubProfiledComponent:
    published = _published(facts, name)
    return HubProfiledComponent(
        component=name,
        sha256=job.sha256,
        job=job.job.id,
        url=job.job.url,
        state="done, but its profile can't be had" if job.state.is_done and job.profile is None else job.state.in_words,
        measured=None if job.profile is None else _measured(job.profile),
        estimate_ms=None if job.estimate is None else job.estimate.ms,
        estimate=None if job.estimate is None else job.estimate.label,
        published_ms=None if published is None else published[0],
        published=None if published is None else published[1],
    )


def _published(facts: ProfileFacts, component: str) -> tuple[float, str] | None:
    """The vendor's figure, and whose it is; None for another network or size than it is of."""
    profile = find_profile(facts.soc)
    if profile is None or profile.published_ms is None:
        return None
    if (facts.model, (facts.width, facts.height)) != (_PUBLISHED_MODEL, _PUBLISHED_SIZE):
        return None
    ms = getattr(profile.published_ms, component, None)
    return None if ms is None else (ms, profile.sources.get("published_ms", "the profile's"))


def _measured(profile: HubProfile) -> HubMeasurement:
    return HubMeasurement(
        median_ms=profile.median_ms,
        best_ms=profile.best_ms,
        ai_hub_ms=profile.estimated_ms,
        calls=len(profile.all_ms),
        first_load_ms=profile.first_load_ms,
        warm_load_ms=profile.warm_load_ms,
        peak_memory_bytes=profile.peak_bytes,
        layers=profile.layers,
        slowest=[
            HubOpTime(name=each.name, type=each.type, unit=each.unit, ms=each.ms, cycles=each.cycles)
            for each in profile.slowest(_SLOWEST)
        ],
    )
