"""A job's record: the client's message of one of several kinds, with what all of them have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from qai_hub import public_api_pb2 as api

FINISHED_STATES = (api.JOB_STATE_DONE, api.JOB_STATE_FAILED)


def part_of(job: api.Job) -> Any:
    """The message of a job's own kind."""
    return getattr(job, str(job.WhichOneof("job")))


def kind_of(job: api.Job) -> str:
    """``compile``, ``link``, ``inference``, or ``profile`` for an inference job without inputs."""
    kind = str(job.WhichOneof("job")).removesuffix("_job")
    return "profile" if kind == "inference" and not job.inference_job.dataset.dataset_id else kind


def id_of(job: api.Job) -> str:
    """A job's id."""
    return str(getattr(part_of(job), f"{job.WhichOneof('job')}_id"))


def model_ids(job: api.Job) -> list[str]:
    """The models that a job works on."""
    part = part_of(job)
    return [each.model_id for each in part.models.models] if kind_of(job) == "link" else [part.model.model_id]


def running_states(job: api.Job) -> tuple[Any, ...]:
    """The states of a job that hasn't ended, in order."""
    match kind_of(job):
        case "compile":
            return api.JOB_STATE_CREATED, api.JOB_STATE_OPTIMIZING_MODEL
        case "link":
            return api.JOB_STATE_CREATED, api.JOB_STATE_LINKING_MODELS
    profiles = job.inference_job.is_profiling_on
    last = api.JOB_STATE_MEASURING_PERFORMANCE if profiles else api.JOB_STATE_RUNNING_INFERENCE
    return api.JOB_STATE_CREATED, api.JOB_STATE_PROVISIONING_DEVICE, last


def is_finished(job: api.Job) -> bool:
    """Whether it has ended, well or badly."""
    return part_of(job).job_state in FINISHED_STATES


def now() -> Timestamp:
    """The time."""
    return Timestamp(seconds=int(datetime.now(UTC).timestamp()))


def summary_of(job: api.Job) -> api.JobSummary:
    """What a list of jobs says of it."""
    part, kind = part_of(job), str(job.WhichOneof("job"))
    summary = api.JobSummary()
    fields = getattr(summary, f"{kind}_summary")
    fields.job_id, fields.name, fields.job_state = id_of(job), part.name, part.job_state
    fields.user.CopyFrom(part.user)
    fields.device_name, fields.device_os_version = part.device.name, part.device.os
    for name in ("creation_time", "start_time", "completion_time", "last_updated_time", "queued_time"):
        getattr(fields, name).CopyFrom(getattr(part, name))
    if kind == "inference_job":
        fields.is_profiling_on = part.is_profiling_on
        if part.HasField("execution_time"):
            fields.execution_time = part.execution_time
    elif part.HasField("target_model"):
        fields.target_model_type = part.target_model.model_type
    return summary
