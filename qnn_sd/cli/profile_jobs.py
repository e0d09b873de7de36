"""Submits the jobs of ``qnn-sd profile``, waits for them side by side, and reads what they measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.ai_hub import CloudDevice, DeviceBinaries, HubJob, HubService, ProfileWork
from qnn_sd.binaries.epcontext import read_epcontext
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.profile_document import ProfiledJob
from qnn_sd.cli.profile_estimates import kept_estimate
from qnn_sd.cli.profile_facts import ProfileFacts
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import BinaryError, HubServiceError, QnnSdError
from qnn_sd.pipeline import BuildPipeline


@dataclass(frozen=True)
class SubmittedJobs:
    """One build's jobs on one device.

    Attributes:
        facts: what they profile.
        jobs: by component, each with the hash of the context binary.
    """

    facts: ProfileFacts
    jobs: Mapping[str, tuple[HubJob, str]]


@dataclass(frozen=True)
class Destination:
    """A device, and whose binaries it gets.

    Attributes:
        device: at AI Hub.
        binaries: whose.
    """

    device: CloudDevice
    binaries: DeviceBinaries


def binary_of(bundle: OpenBundle, component: str) -> Path:
    """The context binary of a component: what AI Hub takes, without ONNX around it.

    Raises:
        BinaryError: the bundle's ONNX file refers to none, or to several.
    """
    files = list(read_epcontext(bundle.file(component)).files)
    if len(files) != 1:
        raise BinaryError(
            f"{bundle.file(component)} refers to {len(files)} context binaries, not to one",
            hint=f"Delete {bundle.folder} and run the command again: it is built anew.",
        )
    return files[0]


def bytes_to_send(
    pipeline: BuildPipeline, profiles: Sequence[DeviceProfile], components: Sequence[str]
) -> dict[str, int | None]:
    """Bytes of the context binaries, by component, and by SoC where there are several. For dry runs.

    Args:
        pipeline: of a dry run.
        profiles: the SoCs.
        components: whose.

    Returns:
        None where one isn't built yet.
    """
    found: dict[str, int | None] = {}
    for profile in profiles:
        of_soc = f" for {profile.soc}" if len(profiles) > 1 else ""
        for component in components:
            files = pipeline.compile(component, profile).folder.glob("*.bin")
            found[f"{component}{of_soc}"] = sum(each.stat().st_size for each in files) or None
    return found


def submit(
    service: HubService, facts: ProfileFacts, destination: Destination, binaries: Mapping[str, Path]
) -> SubmittedJobs:
    """Uploads what isn't there yet, and submits a job for each component.

    Args:
        service: the account.
        facts: what is profiled.
        destination: where.
        binaries: the file of each component.

    Raises:
        QnnSdError: the account, the service or the device refuses.
    """
    options = f"--qairt_version {facts.qairt}" if facts.qairt else ""
    if facts.iterations:
        options = f"{options} --max_profiler_iterations {facts.iterations}".strip()
    jobs = {}
    for component, path in binaries.items():
        model = service.upload(path, component)
        work = ProfileWork(model, destination.device, options, f"{facts.model} {component}")
        jobs[component] = (service.submit(work, facts.purpose(component, model.sha256)), model.sha256)
    return SubmittedJobs(facts, jobs)


def results_of(
    service: HubService, submitted: Sequence[SubmittedJobs], deadline_s: float, cache: Path, console: Console
) -> tuple[list[tuple[ProfileFacts, dict[str, ProfiledJob]]], QnnSdError | None]:
    """Waits for all jobs, and reads what those have measured that ended well.

    Args:
        service: the account.
        submitted: the jobs.
        deadline_s: seconds from now.
        cache: where estimates are kept.
        console: is told of every job that failed, but the one that is returned.

    Returns:
        What there is of each build and device, and what the command ends with: the first failure, or the deadline.
        A result that can't be had is a failure, too.

    Raises:
        HubServiceError: the service or network failed while the jobs went on.
    """
    jobs = [job for each in submitted for job, _ in each.jobs.values()]
    states = service.follow(jobs, deadline_s)
    failed: list[QnnSdError] = [service.job_error(each, states[each.id]) for each in jobs if states[each.id].is_failed]
    found = []
    for each in submitted:
        profiled = {}
        for name, (job, sha256) in each.jobs.items():
            profile = None
            try:
                profile = service.profile(job) if states[job.id].is_done else None
            except HubServiceError as error:
                # The others' results are worth keeping all the same.
                failed.append(error)
            estimate = kept_estimate(cache, each.facts.bundle, name)
            profiled[name] = ProfiledJob(job, sha256, states[job.id], profile, estimate)
        found.append((each.facts, profiled))
    for further in failed[1:]:
        console.error(further)
    left = [each for each in jobs if not states[each.id].has_ended]
    end = failed[0] if failed else service.deadline_error(left, states, deadline_s) if left else None
    return found, end
