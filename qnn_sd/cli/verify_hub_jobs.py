"""The inference jobs of ``qnn-sd verify --hub``: one for each component, and what the device answered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qnn_sd import artifact
from qnn_sd.ai_hub import CloudDevice, HubJob, HubService, InferenceWork
from qnn_sd.cli.documents.verify_hub import HubForm, SiliconJob
from qnn_sd.cli.hub_network import inputs_of, outputs_of_job, upload
from qnn_sd.cli.verify_hub_references import ComponentOfBuild, kept_outputs, read_outputs
from qnn_sd.runner import Outputs


@dataclass(frozen=True)
class SiliconRun:
    """A component that is to run on a device.

    Attributes:
        component: with its inputs.
        device: where.
        form: what is uploaded.
        options: of the job.
        keeps: whether its outputs are kept: not those of the stand-in, which may be told to do otherwise.
        cache: folder of the artifacts.
    """

    component: ComponentOfBuild
    device: CloudDevice
    form: HubForm
    options: str
    keeps: bool
    cache: Path

    @property
    def recipe(self) -> artifact.Recipe:
        """Of its outputs."""
        place = {"device": self.device.name, "os": self.device.os, "form": self.form, "options": self.options}
        return self.component.recipe("silicon", place)

    def kept(self) -> tuple[SiliconJob, list[Outputs]] | None:
        """What an earlier command got; None where there is nothing."""
        place = artifact.artifact_folder(self.cache, self.recipe)
        if not self.keeps or not place.exists():
            return None
        made = artifact.load(place, self.recipe)
        return SiliconJob.model_validate({**made.metadata, "kept": True}), read_outputs(made.folder)


def submit(run: SiliconRun, service: HubService) -> HubJob:
    """Uploads the binary and submits its job, each once however often it is asked for.

    Raises:
        HubServiceError: the service can't be reached, or takes no more.
        HubDeviceError: the device is gone.
    """
    network = run.component.network
    model = upload(network, run.form, service)
    inputs = inputs_of(network, [each.feeds for each in run.component.inputs])
    return service.submit(
        InferenceWork(model, run.device, inputs, run.options, f"{run.component.model} {network.name}")
    )


def collect(run: SiliconRun, job: HubJob, service: HubService) -> tuple[SiliconJob, list[Outputs]]:
    """What a job that has ended gave: its figures, and the component's outputs as values.

    Raises:
        HubJobError: the outputs aren't those of the binary's graph.
        HubServiceError: they can't be downloaded.
    """
    profile = service.profile(job)
    told = SiliconJob(
        id=job.id,
        url=job.url,
        kept=False,
        median_ms=round(profile.median_ms, 3),
        best_ms=round(profile.best_ms, 3),
        qairt=service.qairt_of(job),
    )
    component = run.component
    answers = outputs_of_job(component.network, len(component.inputs), service.outputs(job), job)
    if run.keeps:
        kept_outputs(run.cache, run.recipe, lambda: answers, told.model_dump(mode="json"))
    return told, answers
