"""Does a job's work: from its record and its models' files to its result."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from qai_hub import public_api_pb2 as api

from qnn_sd.compile import Children
from qnn_sd.config import DeviceProfile
from qnn_sd.hub_stand_in import inference_work
from qnn_sd.hub_stand_in.binary_layers import last_part, layers_of_binary
from qnn_sd.hub_stand_in.compile_work import CompileRequest, check_specs, compile_model, link_models, staged
from qnn_sd.hub_stand_in.faults import FaultBox, concerns
from qnn_sd.hub_stand_in.job_options import JobOptions
from qnn_sd.hub_stand_in.job_records import id_of, kind_of, part_of
from qnn_sd.hub_stand_in.model_facts import describe, tensor_types
from qnn_sd.hub_stand_in.profile_figures import Layer, profile_detail
from qnn_sd.hub_stand_in.refusals import JobFailed
from qnn_sd.hub_stand_in.sources import Source, unpacked
from qnn_sd.hub_stand_in.store import Store

RESULT_FILE = "result.pb"
# In it a folder for each job that runs; the model that is compiled is below its ``source``.
WORK_FOLDER = "work"


class Work:
    """The work of all jobs.

    Args:
        store: with models and datasets.
        faults: of them the noise and the weakened inputs.
        profile_of: gives the profile of a device's SoC.
        qairt: gives the version of QAIRT that there is now.
        children: that every process is among.
    """

    def __init__(
        self,
        store: Store,
        faults: FaultBox,
        profile_of: Callable[[api.Device], DeviceProfile],
        qairt: Callable[[], str],
        children: Children,
    ) -> None:
        self._store, self._faults = store, faults
        self._profile_of, self._qairt, self._children = profile_of, qairt, children

    def __call__(self, job: api.Job) -> list[str]:
        """Does a job's work and adds to its record what came of it; returns lines for its log.

        Raises:
            JobFailed: it ends badly.
        """
        part = part_of(job)
        options = JobOptions.parse(part.options)
        options.check(self._qairt())
        profile = self._profile_of(part.device)
        lines = [f"device: {part.device.name}, emulated: {profile.title}, Hexagon v{profile.htp_arch}"]
        do = {"compile": self._compile, "link": self._link}.get(kind_of(job), self._infer)
        # Not a temporary one: the name of a compiled graph has a hash of its path, so the job's path decides the bytes.
        scratch = self._store.folder / WORK_FOLDER / id_of(job)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            return lines + do(job, options, profile, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _source(self, model_id: str, folder: Path) -> Source:
        folder.mkdir()
        return unpacked(self._store.content_of(model_id), self._store.models.get(model_id), folder)

    def _compile(self, job: api.Job, options: JobOptions, profile: DeviceProfile, scratch: Path) -> list[str]:
        part = job.compile_job
        source = self._source(part.model.model_id, scratch / "source")
        if source.onnx is not None:
            check_specs(source.onnx, part.tensor_type_list)
        made, lines = compile_model(CompileRequest(source, profile, options, scratch, self._children))
        if options.graph_name() is not None:
            lines.append(f"not done: the graph keeps its name, {options.graph_name()} was asked for")
        target = self._keep(job, made)
        part.target_tensor_type_list.types.extend(target.input_spec.types)
        result = api.CompileJobResult(compile_job_id=id_of(job))
        result.compile_detail.tool_versions.add(name="QAIRT", version=self._qairt())
        self._put_result(job, api.JobResult(compile_job_result=result))
        return lines

    def _link(self, job: api.Job, _options: JobOptions, profile: DeviceProfile, scratch: Path) -> list[str]:
        graphs: dict[str, Path] = {}
        for number, each in enumerate(job.link_job.models.models):
            maker = self._store.models.get(each.model_id).producer_id
            if not maker:
                raise JobFailed(
                    api.JOB_FAILURE_TYPE_UNSUPPORTED,
                    "The stand-in has no linker: it links DLCs that it has compiled itself, from their graphs.",
                )
            compiled = self._store.jobs.get(maker).compile_job
            work = scratch / f"dlc{number}"
            work.mkdir()
            source = self._source(compiled.model.model_id, work / "source")
            given = JobOptions.parse(compiled.options)
            graphs[f"graph{number}"], _ = staged(CompileRequest(source, profile, given, work, self._children))
        self._keep(job, link_models(graphs, profile, scratch, self._children))
        self._put_result(job, api.JobResult(link_job_result=api.LinkJobResult(link_job_id=id_of(job))))
        return ["linking is simulated: the graphs that the DLCs were made of were compiled together"]

    def _infer(self, job: api.Job, options: JobOptions, profile: DeviceProfile, scratch: Path) -> list[str]:
        part = job.inference_job
        model = self._store.models.get(part.model.model_id)
        source = self._source(model.model_id, scratch / "source")
        loaded = inference_work.load(source, profile, options, self._qairt())
        dataset = part.dataset.dataset_id
        inputs = inference_work.read_entries(self._store.content_of(dataset)) if dataset else None
        lines = [f"ran {loaded.binary.label} on the HTP emulator"]
        for weak in self._faults.now.weakened:
            if inputs is not None and concerns(weak.component, kind_of(job), part.name, model.name):
                inputs = inference_work.with_weakened(inputs, loaded.graph, weak.input, weak.share)
                lines.append(f"weakened {weak.input} by {weak.share:g}, as the stand-in was told")
        outputs = inference_work.run(loaded, inputs, options, self._children)
        for noise in self._faults.now.noises:
            if concerns(noise.component, kind_of(job), part.name, model.name):
                outputs = inference_work.with_noise(outputs, loaded.graph, noise.db)
                lines.append(f"added noise of {noise.db:g} dB, as the stand-in was told")
        result = api.InferenceJobResult(inference_job_id=id_of(job))
        layers = _layers(loaded) if part.is_profiling_on else []
        result.detail.CopyFrom(profile_detail(loaded.binary.size, layers, self._qairt()))
        if dataset:
            result.output_dataset_id = self._keep_outputs(job, outputs)
        part.execution_time = result.detail.execution_time
        part.execution_peak_memory.CopyFrom(result.detail.execution_memory.peak)
        part.tensor_type_list.types.extend(tensor_types(loaded.graph.inputs))
        self._put_result(job, api.JobResult(inference_job_result=result))
        return lines

    def _keep(self, job: api.Job, made: Path) -> api.Model:
        """Keeps the file and the record of the model that a job has made."""
        target = part_of(job).target_model
        name = target.model_id
        shutil.move(made, self._store.content_of(name))
        for each in self._faults.now.wrong_models:
            if concerns(each.component, kind_of(job), target.name):
                shutil.copyfile(each.file, self._store.content_of(name))
        model = api.Model()
        model.CopyFrom(self._store.models.get(name))
        model.file_upload_complete = True
        if model.model_type == api.MODEL_TYPE_QNN_CONTEXT_BINARY:
            describe(model, self._store.content_of(name))
        self._store.models.put(name, model)
        target.CopyFrom(model)
        return model

    def _keep_outputs(self, job: api.Job, outputs: inference_work.Entries) -> str:
        name = self._store.datasets.new_id()
        inference_work.write_entries(self._store.content_of(name), outputs)
        dataset = api.Dataset(dataset_id=name, name=f"{job.inference_job.name} outputs", file_upload_complete=True)
        dataset.creation_time.GetCurrentTime()
        self._store.datasets.put(name, dataset)
        return name

    def _put_result(self, job: api.Job, result: api.JobResult) -> None:
        (self._store.files_of(id_of(job)) / RESULT_FILE).write_bytes(result.SerializeToString())


def _layers(loaded: inference_work.Loaded) -> list[Layer]:
    """The ops of a binary; of one that doesn't name them its outputs."""
    binary = loaded.binary
    stored = binary.stored
    content = binary.embedded or b"" if stored is None else last_part(binary.path, stored.start, stored.size)
    return layers_of_binary(content) or [Layer(each.name, "Graph") for each in loaded.graph.outputs]
