"""How far a job is, as AI Hub says and as people are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qnn_sd.ai_hub.api import Api, CallFailed

DONE, FAILED = 10, 30
GONE = "gone"
# Numbers of JobState in the client's protocol.
_IN_WORDS: Mapping[int, str] = {
    0: "in a state that this version doesn't know",
    1: "in the queue",
    DONE: "done",
    FAILED: "failed",
    50: "preparing the model",
    60: "waiting for a device",
    70: "measuring on the device",
    80: "running on the device",
    90: "quantizing",
    100: "linking",
}


@dataclass(frozen=True)
class JobState:
    """How far a job is.

    Attributes:
        number: AI Hub's.
        reason: why it failed, as AI Hub says it.
        failure_type: AI Hub's number; 0 where it gives none.
        is_gone: whether AI Hub has no such job any more; it counts as failed.
    """

    number: int
    reason: str = ""
    failure_type: int = 0
    is_gone: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it ended well."""
        return self.number == DONE

    @property
    def is_failed(self) -> bool:
        """Whether it failed."""
        return self.number == FAILED

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.is_done or self.is_failed

    @property
    def in_words(self) -> str:
        """For people: waiting for a device is told from running."""
        if self.is_gone:
            return GONE
        return _IN_WORDS.get(self.number, _IN_WORDS[0])


def state_of(api: Api, job_id: str) -> JobState:
    """How far a job is.

    Raises:
        CallFailed: AI Hub can't be asked.
    """
    try:
        answer: Any = api.attempt(f"look at the job {job_id} at AI Hub", api.rest.get_job, api.config, job_id)
    except CallFailed as failed:
        if not failed.failure.is_missing:
            raise
        return JobState(FAILED, "It isn't there any more.", is_gone=True)
    kind = answer.WhichOneof("job")
    if kind is None:
        return JobState(0)
    job = getattr(answer, kind)
    return JobState(job.job_state, api.account.token.hidden_in(job.failure_reason), answer.failure_type)
