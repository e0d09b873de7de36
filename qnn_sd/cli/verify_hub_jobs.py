"""The inference jobs of ``qnn-sd verify --hub``: one for each component, and what the device answered."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qnn_sd import artifact
from qnn_sd.ai_hub import CloudDevice, HubJob, HubService, InferenceWork
from qnn_sd.binaries.binary_info import BinaryTensor
from qnn_sd.binaries.loading import roads_to
from qnn_sd.binaries.raw_node import numpy_type, to_values, write_raw_model
from qnn_sd.cli.documents.verify_hub import HubForm, SiliconJob
from qnn_sd.cli.verify_hub_references import ComponentOfBuild, kept_outputs, read_outputs
from qnn_sd.errors import HubJobError, HubServiceError
from qnn_sd.in_words import shown
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.runner import Array, Outputs
from qnn_sd.toolchain import release

_BINARY = "model.bin"


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
    component = run.component
    if run.form == "bin":
        model = service.upload(component.binary.path, component.name)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, component.name)
            folder.mkdir()
            write_raw_model(component.graph, _BINARY, folder / MODEL_FILE)
            (folder / _BINARY).symlink_to(component.binary.path.resolve())
            model = service.upload(folder, component.name)
    integers = component.integers
    inputs = {each.name: [feeds[each.name] for feeds in integers] for each in component.graph.inputs}
    return service.submit(InferenceWork(model, run.device, inputs, run.options, component.name))


def collect(run: SiliconRun, job: HubJob, service: HubService) -> tuple[SiliconJob, list[Outputs]]:
    """What a job that has ended gave: its figures, and the component's outputs as values.

    Raises:
        HubJobError: the outputs aren't those of the binary's graph.
        HubServiceError: they can't be downloaded.
    """
    told = _figures(job, service)
    answers = outputs_of_job(run.component, service.outputs(job), job)
    if run.keeps:
        kept_outputs(run.cache, run.recipe, lambda: answers, told.model_dump(mode="json"))
    return told, answers


def _figures(job: HubJob, service: HubService) -> SiliconJob:
    profile = service.profile(job)
    return SiliconJob(
        id=job.id,
        url=job.url,
        kept=False,
        median_ms=round(profile.median_ms, 3),
        best_ms=round(profile.best_ms, 3),
        qairt=service.qairt_of(job),
    )


def outputs_of_job(
    component: ComponentOfBuild, downloaded: Mapping[str, Sequence[Array]], job: HubJob
) -> list[Outputs]:
    """A device's outputs as values, for each input.

    Args:
        component: that ran.
        downloaded: by output, an array for each input: the binary's integers, or values that AI Hub made of them.
        job: for messages.

    Raises:
        HubJobError: one is missing, of another shape or type, or there are more or fewer than inputs.
    """
    calls = len(component.inputs)
    values: dict[str, list[Array]] = {}
    for tensor in component.graph.outputs:
        if tensor.name not in downloaded:
            listed = ", ".join(shown(each) for each in downloaded) or "none"
            raise _unfit(component, job, f"The output {tensor.name} isn't among them: {listed}.")
        arrays = [np.asarray(each) for each in downloaded[tensor.name]]
        if len(arrays) != calls:
            raise _unfit(component, job, f"The output {tensor.name} is there {len(arrays)} times, for {calls} inputs.")
        values[tensor.name] = [_as_values(component, tensor, each, job) for each in arrays]
    return [{name: arrays[number] for name, arrays in values.items()} for number in range(calls)]


def _as_values(component: ComponentOfBuild, tensor: BinaryTensor, array: Array, job: HubJob) -> Array:
    if list(array.shape) != tensor.dims:
        raise _unfit(
            component, job, f"The output {tensor.name} has shape {list(array.shape)}, the binary's has {tensor.dims}."
        )
    if array.dtype == numpy_type(tensor):
        return to_values(tensor, array)
    if array.dtype.kind == "f":
        # AI Hub has made values of the integers itself.
        return array.astype(np.float32)
    raise _unfit(component, job, f"The output {tensor.name} is of {array.dtype}, the binary's of {tensor.dtype}.")


def _unfit(component: ComponentOfBuild, job: HubJob, why: str) -> HubJobError:
    return HubJobError(
        f"The job's outputs aren't those of {component.name}",
        why=f"{why} {job.url}",
        hint="Was another model uploaded under this name? qnn-sd hub jobs lists the jobs with their links.",
    )


def qairt_option(component: ComponentOfBuild, service: HubService) -> str:
    """The option that asks for libraries which load the binary: those of its own QAIRT release.

    Raises:
        HubServiceError: AI Hub has no release that loads it.
    """
    if component.qairt is None:
        return ""
    wanted, there = ".".join(map(str, release(component.qairt))), service.qairt_versions()
    if not there or wanted in there:
        return f"--qairt_version {wanted}"
    newer = [each for each in there if release(f"{each}.0") > release(component.qairt)]
    if newer:
        return f"--qairt_version {newer[0]}"
    raise HubServiceError(
        f"AI Hub has no QAIRT that loads {component.name}",
        why=f"QAIRT {component.qairt} compiled it. AI Hub has {', '.join(there)}: an older one doesn't load it.",
        hint=roads_to(component.qairt, f"{there[-1]}.0"),
    )
