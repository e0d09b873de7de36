"""What the stand-in does with each request, apart from HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qai_hub import public_api_pb2 as api

from qnn_sd import qnn_provider
from qnn_sd.config import DeviceProfile
from qnn_sd.hub_stand_in.compile_work import TARGETS
from qnn_sd.hub_stand_in.counts import Counts
from qnn_sd.hub_stand_in.devices import StandInDevice, all_devices, matching
from qnn_sd.hub_stand_in.faults import FaultBox
from qnn_sd.hub_stand_in.job_options import JobOptions
from qnn_sd.hub_stand_in.job_records import id_of, kind_of, model_ids, now, part_of
from qnn_sd.hub_stand_in.refusals import RequestRefused
from qnn_sd.hub_stand_in.sources import zip_members
from qnn_sd.hub_stand_in.store import Store
from qnn_sd.toolchain import load_toolchains, release

# AI Hub refuses larger ones.
MOST_MODEL_BYTES = 10 * 10**9
# As the service says it, in the client's words for 413.
TOO_LARGE = "The uploaded asset is too large. Please contact us for workarounds."
USER = api.User(id=1, first_name="Stand-in", last_name="of qnn-sd", email="nobody@localhost", org_id=1)
_DATASET_SECONDS = 30 * 24 * 3600


class Service:
    """The records of a stand-in, and the rules by which they are made.

    Args:
        store: that keeps them.
        faults: what goes wrong.
        counts: of what was asked.
    """

    def __init__(self, store: Store, faults: FaultBox, counts: Counts) -> None:
        self._store, self._faults, self._counts = store, faults, counts
        self._all = all_devices()

    def qairt(self) -> str:
        """The version of QAIRT that it has: the local compiler's, or what a fault says."""
        toolchains = load_toolchains()
        installed = toolchains.of(qnn_provider.versions()) or toolchains.chosen
        told = self._faults.now.qairt
        return installed.qairt if told is None else f"{told}.0"

    def devices(self, name: str = "", os: str = "", attributes: list[str] | None = None) -> list[StandInDevice]:
        """The devices that a query asks for."""
        listed = [each for each in self._all if each.name not in self._faults.now.gone]
        return matching(listed, name, os, attributes or [])

    def select(self, device: api.Device) -> StandInDevice | None:
        """The one that a job asking for a device gets."""
        found = self.devices(device.name, device.os, list(device.attributes))
        return next((each for each in found if each.name not in self._faults.now.retired), None)

    def profile_of(self, device: api.Device) -> DeviceProfile:
        """The profile of a device's SoC.

        Raises:
            RequestRefused: it is gone (400).
        """
        return self._selected(device).profile

    def _selected(self, device: api.Device) -> StandInDevice:
        found = self.select(device)
        if found is None:
            raise RequestRefused(400, f"Device {device.name or list(device.attributes)} is not available.")
        return found

    def frameworks(self) -> list[api.Framework]:
        """What it has."""
        qairt = self.qairt()
        name = ".".join(map(str, release(qairt)))
        versions = qnn_provider.versions()
        return [
            api.Framework(name="QAIRT", api_version=name, api_tags=["default", "latest"], full_version=qairt),
            api.Framework(name="ONNX Runtime", api_version=versions["onnxruntime"]),
        ]

    def create_model(self, model: api.Model) -> api.CreateUpdateResponse:
        """Makes a model without a file."""
        name = self._store.models.new_id()
        model.model_id, model.file_upload_complete = name, False
        model.owner.CopyFrom(USER)
        model.creation_time.CopyFrom(now())
        self._store.models.put(name, model)
        self._counts.add_model()
        return api.CreateUpdateResponse(id=name, creation_time=model.creation_time)

    def check_size(self, size: int) -> None:
        """Refuses a model that is too large.

        Raises:
            RequestRefused: it is (413).
        """
        if size > (self._faults.now.largest_model or MOST_MODEL_BYTES):
            raise RequestRefused(413, TOO_LARGE)

    def model_arrived(self, name: str) -> api.CreateUpdateResponse:
        """Notes that a model's file is complete."""
        self._changed(self._store.models, name, lambda model: setattr(model, "file_upload_complete", True))
        members = zip_members(self._store.content_of(name))
        if members is not None:
            self._counts.add_zip(members)
        return api.CreateUpdateResponse(id=name)

    def create_dataset(self, dataset: api.Dataset) -> api.CreateUpdateResponse:
        """Makes a dataset without a file."""
        name = self._store.datasets.new_id()
        dataset.dataset_id, dataset.file_upload_complete = name, False
        dataset.owner.CopyFrom(USER)
        dataset.creation_time.CopyFrom(now())
        dataset.expiration_time.seconds = dataset.creation_time.seconds + _DATASET_SECONDS
        self._store.datasets.put(name, dataset)
        self._counts.add_dataset()
        return api.CreateUpdateResponse(
            id=name, creation_time=dataset.creation_time, expiration_time=dataset.expiration_time
        )

    def dataset_arrived(self, name: str) -> api.CreateUpdateResponse:
        """Notes that a dataset's file is complete.

        Raises:
            RequestRefused: it isn't there (400).
        """
        self._store.datasets.get(name)
        if not self._store.content_of(name).is_file():
            raise RequestRefused(400, "The dataset's file was not uploaded.")
        self._changed(self._store.datasets, name, lambda dataset: setattr(dataset, "file_upload_complete", True))
        return api.CreateUpdateResponse(id=name)

    def rename_job(self, name: str, update: api.JobPublicUpdate) -> api.CreateUpdateResponse:
        """Gives a job another name."""
        self._changed(self._store.jobs, name, lambda job: setattr(part_of(job), "name", update.name))
        return api.CreateUpdateResponse(id=name)

    def _changed(self, table: Any, name: str, change: Callable[[Any], None]) -> None:
        with self._store.lock:
            record = type(table.get(name))()
            record.CopyFrom(table.get(name))
            change(record)
            table.put(name, record)

    def create_job(self, job: api.Job) -> api.CreateUpdateResponse:
        """Makes a job.

        Raises:
            RequestRefused: it is of a kind that the stand-in doesn't have, its model, device or options aren't known
                (400, 404), or the quota is used up (429).
        """
        if job.WhichOneof("job") not in ("compile_job", "link_job", "inference_job"):
            raise RequestRefused(400, "The stand-in takes compile, link and inference jobs.")
        part = part_of(job)
        options = JobOptions.parse(part.options)
        devices = part.devices.devices if kind_of(job) == "compile" else [part.device]
        if not devices or not (devices[0].name or devices[0].attributes):
            raise RequestRefused(400, "A job needs a device.")
        part.device.CopyFrom(self._selected(devices[0]).message())
        models = [self._store.models.get(each) for each in model_ids(job)]
        quota = self._faults.now.quota
        if quota is not None and not self._faults.strikes("quota", quota):
            raise RequestRefused(429, f"You have reached the limit of {quota} jobs. Please try again later.")
        name = self._store.jobs.new_id()
        setattr(part, f"{job.WhichOneof('job')}_id", name)
        part.job_state = api.JOB_STATE_CREATED
        part.user.CopyFrom(USER)
        for field in ("creation_time", "queued_time", "last_updated_time"):
            getattr(part, field).CopyFrom(now())
        self._fill(job, models, options)
        job.hub_version = "qnn-sd stand-in"
        self._store.jobs.put(name, job)
        self._counts.add_job(kind_of(job), part.name)
        return api.CreateUpdateResponse(id=name, creation_time=part.creation_time)

    def _fill(self, job: api.Job, models: list[api.Model], options: JobOptions) -> None:
        """Adds what its models say, and the model that it will make."""
        part, kind = part_of(job), kind_of(job)
        if kind == "link":
            del part.models.models[:]
            part.models.models.extend(models)
            target = api.MODEL_TYPE_QNN_CONTEXT_BINARY
        else:
            part.model.CopyFrom(models[0])
            is_binary = models[0].model_type == api.MODEL_TYPE_QNN_CONTEXT_BINARY
            target = (
                api.MODEL_TYPE_ONNX if is_binary else TARGETS.get(options.target_runtime, api.MODEL_TYPE_UNSPECIFIED)
            )
        if kind in ("compile", "link"):
            name = self._store.models.new_id()
            made = api.Model(model_id=name, name=part.name, model_type=target, producer_id=id_of(job))
            made.is_directory = target == api.MODEL_TYPE_ONNX
            made.file_upload_complete = False
            made.owner.CopyFrom(USER)
            made.creation_time.CopyFrom(now())
            self._store.models.put(name, made)
            part.target_model.CopyFrom(made)
        elif part.dataset.dataset_id:
            part.dataset.CopyFrom(self._store.datasets.get(part.dataset.dataset_id))
