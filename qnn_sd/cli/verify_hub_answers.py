"""What devices, emulator and CPU answer: jobs are submitted first, and what is computed here runs while they wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qnn_sd.ai_hub import CloudDevice, HubService
from qnn_sd.cli.documents.verify_hub import SiliconJob
from qnn_sd.cli.hub_network import job_options
from qnn_sd.cli.verify_hub_causes import other_road
from qnn_sd.cli.verify_hub_jobs import SiliconRun, collect, submit
from qnn_sd.cli.verify_hub_options import HubRequest
from qnn_sd.cli.verify_hub_references import ComponentOfBuild, cpu_outputs, emulator_outputs, has_emulator_outputs
from qnn_sd.cli.verify_hub_targets import HubTarget
from qnn_sd.console import Console
from qnn_sd.errors import HubJobError
from qnn_sd.in_words import duration
from qnn_sd.runner import Outputs

_WORTH_SAYING_SECONDS = 10.0


@dataclass(frozen=True)
class References:
    """What is computed here for a component.

    Attributes:
        emulator: None where it isn't asked.
        qdq: the QDQ graph on the CPU.
        floats: the float graph on the CPU.
    """

    emulator: list[Outputs] | None
    qdq: list[Outputs]
    floats: list[Outputs]


@dataclass
class Answers:
    """All of them.

    Attributes:
        references: by SoC and component.
        silicon: the job and the outputs by device and component.
    """

    references: dict[tuple[str, str], References] = field(default_factory=dict)
    silicon: dict[tuple[CloudDevice, str], tuple[SiliconJob, list[Outputs]]] = field(default_factory=dict)


def answers_of(
    targets: Sequence[HubTarget],
    built: Mapping[str, Sequence[ComponentOfBuild]],
    request: HubRequest,
    service: HubService,
    cache: Path,
    console: Console,
) -> Answers:
    """Runs every component on each device, on the emulator and on the CPU.

    Args:
        targets: the devices.
        built: the components, by SoC.
        request: what was typed.
        service: where the devices are.
        cache: folder of the artifacts.
        console: shows the progress.

    Raises:
        HubJobError: a job failed, or its outputs aren't the component's.
        HubDeadlineError: a job takes too long.
        HubServiceError: the service can't be reached, takes no more, or doesn't have the binaries' QAIRT; a binary is
            too large.
        TargetError: the emulator can't run a binary.
        VerificationError: NaN or infinity in what the CPU computes.
    """
    answers = Answers()
    service.refuse_too_large(
        {f"{each.name} of {soc}": each.network.binary.path for soc, of_soc in built.items() for each in of_soc}
    )
    keeps, jobs = not service.is_stand_in, {}
    for target in targets:
        for component in built[target.profile.soc]:
            options = job_options(component.network, service)
            run = SiliconRun(component, target.device, request.form, options, keeps, cache)
            if (kept := run.kept()) is not None:
                answers.silicon[target.device, component.name] = kept
            else:
                jobs[run] = submit(run, service)
    for components in built.values():
        for component in components:
            answers.references[component.soc, component.name] = _references(component, request.emulator, cache, console)
    try:
        service.wait(list(jobs.values()), request.deadline_minutes * 60)
    except HubJobError as error:
        error.hint = f"{error.hint} {other_road(request.form)}"
        raise
    for run, job in jobs.items():
        with console.working(f"downloading what {run.device.name} computed: {run.component.name}"):
            answers.silicon[run.device, run.component.name] = collect(run, job, service)
    return answers


def _references(component: ComponentOfBuild, emulator: bool, cache: Path, console: Console) -> References:
    with console.working(f"{component.name} on the CPU"):
        floats, qdq = (cpu_outputs(component, kind, cache) for kind in ("float", "qdq"))
    if not emulator:
        return References(None, qdq, floats)
    seconds = component.emulator_seconds
    if seconds > _WORTH_SAYING_SECONDS and not has_emulator_outputs(component, cache):
        console.say(
            f"{component.name}: the emulator takes about {duration(seconds)}, once (--no-emulator leaves it out)"
        )
    with console.working(f"{component.name} on the emulator"):
        return References(emulator_outputs(component, cache), qdq, floats)
