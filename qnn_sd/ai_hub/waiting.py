"""Waits for jobs side by side, and says how far they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from qnn_sd.ai_hub.api import Api, CallFailed
from qnn_sd.ai_hub.job_states import JobState, state_of
from qnn_sd.ai_hub.service_errors import Failure
from qnn_sd.ai_hub.work import HubJob
from qnn_sd.console import Console
from qnn_sd.in_words import duration

# A small job is soon over; AI Hub's own client asks every ten seconds.
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
# The network may be away for a while.
_SILENCE_SECONDS = 600.0
_REMINDER_SECONDS = 120.0


def follow(
    api: Api,
    jobs: Sequence[HubJob],
    deadline_s: float,
    console: Console,
    on_end: Callable[[HubJob, JobState], bool],
) -> dict[str, JobState]:
    """Waits until all jobs have ended, or the time is over.

    Args:
        api: of the account.
        jobs: to wait for.
        deadline_s: seconds from now.
        console: shows a row for each.
        on_end: called as each ends; whether to go on waiting for the others.

    Returns:
        The last known state of each, by its identifier.

    Raises:
        QnnSdError: AI Hub can't be asked, for longer than a lost connection would explain.
    """
    until = time.monotonic() + deadline_s
    states, told = {each.id: JobState(1) for each in jobs}, dict[str, str]()
    pause = _FIRST_PAUSE_SECONDS
    with ExitStack() as rows:
        shown = {each.id: rows.enter_context(ExitStack()) for each in jobs}
        for each in jobs:
            shown[each.id].enter_context(console.working(title_of(each), state=_words_of(states, each.id)))
        silence = _Silence(console)
        while True:
            for each in [each for each in jobs if not states[each.id].has_ended]:
                now = silence.state(api, each)
                if now is None:
                    continue
                if told.get(each.id) != now.in_words and not console.shows_rows:
                    # A line in a log, where no rows move.
                    console.say(f"{title_of(each)} ({each.id}): {now.in_words}")
                states[each.id], told[each.id] = now, now.in_words
                if states[each.id].has_ended:
                    shown[each.id].close()
                    if not on_end(each, states[each.id]):
                        return states
            left = until - time.monotonic()
            if all(each.has_ended for each in states.values()) or left <= 0:
                return states
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def title_of(job: HubJob) -> str:
    """A job for people: ``unet on Samsung Galaxy S24``."""
    return f"{job.label} on {job.device}"


def _words_of(states: dict[str, JobState], identifier: str) -> Callable[[float], str]:
    return lambda seconds: f"{states[identifier].in_words}, {duration(seconds)}"


class _Silence:
    """Bears a connection that is lost for a while."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._since: float | None = None
        self._told = 0.0

    def state(self, api: Api, job: HubJob) -> JobState | None:
        """A job's state; None while AI Hub doesn't answer.

        Raises:
            QnnSdError: it won't answer, or hasn't for long.
        """
        try:
            found = state_of(api, job.id)
        except CallFailed as failed:
            self._bear(failed.failure)
            return None
        self._since = None
        return found

    def _bear(self, failure: Failure) -> None:
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        silent = now - self._since
        passes = (failure.may_pass and not failure.is_of_no_stand_in) or failure.is_rate_limit
        if not passes or silent > _SILENCE_SECONDS:
            raise failure.error() from failure.raised
        if silent == 0:
            self._told = now
            self._console.say_once(
                f"AI Hub doesn't answer just now: it is asked again for up to {duration(_SILENCE_SECONDS)}; "
                "qnn-sd hub resume finds the jobs later, too"
            )
        elif now - self._told >= _REMINDER_SECONDS:
            self._told = now
            self._console.say(f"AI Hub still doesn't answer, for {duration(silent)} now")
