"""Jobs that didn't end well, or not in time, as it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qnn_sd.ai_hub import job_logs
from qnn_sd.ai_hub.api import Api
from qnn_sd.ai_hub.failures import explain
from qnn_sd.ai_hub.job_states import JobState
from qnn_sd.ai_hub.waiting import title_of
from qnn_sd.ai_hub.work import HubJob
from qnn_sd.errors import HubDeadlineError, HubJobError
from qnn_sd.in_words import duration


def job_error(api: Api, job: HubJob, state: JobState) -> HubJobError:
    """A failed job: what its failure type means, what its log says, its link.

    Args:
        api: of the account.
        job: that failed.
        state: of it.
    """
    if state.is_gone:
        return HubJobError(
            f"AI Hub's job {job.id}, {title_of(job)}, is gone",
            why="AI Hub has no such job any more: it was deleted there.",
            hint="Run the command that submitted it again: it is submitted anew.",
        )
    log = api.account.token.hidden_in(job_logs.log_of(api, job.id))
    known = explain(state.failure_type, f"{state.reason}\n{log}")
    number = f" (failure type {state.failure_type})" if state.failure_type else ""
    lines = "".join(f"\n    {line}" for line in job_logs.excerpt(log))
    said = f" AI Hub says: {state.reason.strip().rstrip('.')}." if state.reason.strip() else ""
    return HubJobError(
        f"AI Hub's job {job.id}, {title_of(job)}, failed{number}",
        why=f"{known.why}{said}" + (f" From its log:{lines}" if lines else ""),
        hint=f"{known.hint}. The job: {job.url}",
    )


def deadline_error(left: Sequence[HubJob], states: Mapping[str, JobState], deadline_s: float) -> HubDeadlineError:
    """Jobs that go on when the time is over.

    Args:
        left: those.
        states: the last known one of each, by its identifier.
        deadline_s: how long was waited, in seconds.
    """
    listed = "; ".join(f"{title_of(each)} ({each.id}): {states[each.id].in_words}" for each in left)
    count = f"{len(left)} jobs haven't" if len(left) > 1 else "A job hasn't"
    return HubDeadlineError(
        f"{count} ended at AI Hub within {duration(deadline_s)}",
        why=f"{listed}.",
        hint="They go on there: qnn-sd hub resume waits for them, and so does the same command.",
    )
