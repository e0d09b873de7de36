"""Runs jobs in the background, one after the other, and tells how far they are.

A job ends when its work is done: whoever asks for it waits a while for that. No state changes with the clock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from qai_hub import public_api_pb2 as api

from qnn_sd.compile import Children
from qnn_sd.errors import QnnSdError
from qnn_sd.hub_stand_in.faults import FaultBox, concerns
from qnn_sd.hub_stand_in.job_records import id_of, is_finished, kind_of, model_ids, now, part_of, running_states
from qnn_sd.hub_stand_in.refusals import JobFailed, RequestRefused, failure_name
from qnn_sd.hub_stand_in.store import Store

LOG_FILE = "hub.log"
LOG_HEAD = "qnn-sd stand-in for AI Hub: no device was used.\n"


class JobRunner:
    """The jobs of a stand-in.

    Args:
        store: that keeps them.
        faults: that some of them show.
        work: does a job's work and changes its record accordingly; returns lines for its log.
        children: that the work's processes are among.
        hold_seconds: how long an answer about a running job waits for its end.
        delay_seconds: how long each job waits before its work.
        say: gets a line for each job that begins or ends.
    """

    def __init__(
        self,
        store: Store,
        faults: FaultBox,
        work: Callable[[api.Job], list[str]],
        children: Children,
        *,
        hold_seconds: float,
        delay_seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._store, self._faults, self._work, self._children = store, faults, work, children
        self._hold, self._delay, self._say = hold_seconds, delay_seconds, say
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._started: set[str] = set()
        self._polls: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hub-job")

    def start_due(self) -> None:
        """Starts every job that can run: those of a stand-in that ended meanwhile, too."""
        with self._changed:
            if self._closing.is_set():
                return
            for job in reversed(self._store.jobs.newest_first()):
                name = id_of(job)
                if not (is_finished(job) or name in self._started or self._stuck_in(job)) and self._has_models(job):
                    self._started.add(name)
                    self._pool.submit(self._run, name)

    def _has_models(self, job: api.Job) -> bool:
        """Whether the jobs that make its models have ended."""
        makers = (self._store.models.get(each).producer_id for each in model_ids(job))
        return all(is_finished(self._store.jobs.get(each)) for each in makers if each)

    def poll(self, name: str) -> api.Job:
        """A job as it is now, or when it has ended if that is soon.

        Raises:
            RequestRefused: there is none of that id (404).
        """
        job = self._store.jobs.get(name)
        self.start_due()
        with self._changed:
            self._polls[name] += 1
            if self._polls[name] > self._slow_polls(job) and not self._stuck_in(job):
                self._changed.wait_for(
                    lambda: self._closing.is_set() or is_finished(self._store.jobs.get(name)), self._hold
                )
        return self.shown(self._store.jobs.get(name))

    def shown(self, job: api.Job) -> api.Job:
        """A job as it is told: one that is slow or stuck is in a state before its end."""
        name, states = id_of(job), running_states(job)
        state = self._stuck_in(job)
        if state is None and self._polls[name] <= (polls := self._slow_polls(job)):
            state = states[min(self._polls[name] * len(states) // (polls + 1), len(states) - 1)]
        if state is None or (part_of(job).job_state == state):
            return job
        copy = api.Job()
        copy.CopyFrom(job)
        part_of(copy).job_state = state
        part_of(copy).ClearField("failure_reason")
        copy.ClearField("failure_type")
        copy.ClearField("available_artifacts")
        return copy

    def _stuck_in(self, job: api.Job) -> Any:
        """The state in which it stays; None for a job that goes on or has ended."""
        faults = () if is_finished(job) else self._faults.now.stuck
        return next((each.state for each in faults if concerns(each.component, *self._names(job))), None)

    def _slow_polls(self, job: api.Job) -> int:
        faults = self._faults.now.slow
        return next((each.polls for each in faults if concerns(each.component, *self._names(job))), 0)

    def _names(self, job: api.Job) -> tuple[str, ...]:
        return (kind_of(job), part_of(job).name, *(self._store.models.get(each).name for each in model_ids(job)))

    def _run(self, name: str) -> None:
        """Does a job's work and keeps how it ended."""
        self._closing.wait(self._delay)
        if self._closing.is_set():
            return
        job = api.Job()
        job.CopyFrom(self._store.jobs.get(name))
        part = part_of(job)
        part.job_state = running_states(job)[-1]
        part.start_time.CopyFrom(now())
        self._store.jobs.put(name, job)
        label = f"{kind_of(job)} job {name}, {part.name}"
        self._say(f"{label}: running")
        try:
            lines = self._faulty_or_done(job)
            part.job_state, job.failure_type = api.JOB_STATE_DONE, api.JOB_FAILURE_TYPE_SUCCESS
        except JobFailed as failure:
            part.job_state, job.failure_type = api.JOB_STATE_FAILED, failure.failure_type
            part.failure_reason = failure.reason
            lines = [f"{failure_name(failure.failure_type)}: {failure.reason}", failure.details]
        if self._closing.is_set() and self._children.closed:
            return  # it was called off: who starts a stand-in here again has it done
        self._say(f"{label}: {lines[0] if part.job_state == api.JOB_STATE_FAILED else 'done'}")
        (self._store.files_of(name) / LOG_FILE).write_text(LOG_HEAD + "\n".join(lines) + "\n", "utf-8")
        job.available_artifacts[:] = [api.JOB_ARTIFACT_TYPE_HUB_LOG]
        part.completion_time.CopyFrom(now())
        part.last_updated_time.CopyFrom(now())
        with self._store.lock:
            # It may have been renamed while it ran.
            part.name = part_of(self._store.jobs.get(name)).name
            self._store.jobs.put(name, job)
        with self._changed:
            self._changed.notify_all()
        self.start_due()

    def _faulty_or_done(self, job: api.Job) -> list[str]:
        for fault in self._faults.now.failures:
            if concerns(fault.component, *self._names(job)) and self._faults.strikes(fault, fault.times):
                raise JobFailed(fault.failure_type, fault.text or failure_name(fault.failure_type))
        try:
            return self._work(job)
        except QnnSdError as error:
            raise JobFailed(api.JOB_FAILURE_TYPE_MODEL_UNKNOWN, error.what, str(error)) from error
        except RequestRefused as error:
            raise JobFailed(api.JOB_FAILURE_TYPE_INVALID_INPUTS, error.text) from error
        except JobFailed:
            raise
        except Exception as error:
            # A thread that died would leave the job running for ever.
            raise JobFailed(api.JOB_FAILURE_TYPE_INTERNAL_UNKNOWN, f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Calls off what runs; who starts a stand-in in the same folder again has it done."""
        self._closing.set()
        self._children.close()
        with self._changed:
            self._changed.notify_all()
        self._pool.shutdown(wait=True, cancel_futures=True)
