"""AI Hub as the commands use it."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from qnn_sd.ai_hub import cloud_devices, job_ends
from qnn_sd.ai_hub.api import Api, CallFailed
from qnn_sd.ai_hub.client_package import require_client
from qnn_sd.ai_hub.cloud_devices import CloudDevice
from qnn_sd.ai_hub.configuration import read_configuration
from qnn_sd.ai_hub.content import refuse_too_large
from qnn_sd.ai_hub.job_states import JobState, state_of
from qnn_sd.ai_hub.journal import JobEntry, Journal
from qnn_sd.ai_hub.patience import check_account
from qnn_sd.ai_hub.profile_result import HubProfile
from qnn_sd.ai_hub.results import ResultGone, Results
from qnn_sd.ai_hub.submission import Submission
from qnn_sd.ai_hub.uploads import Uploads
from qnn_sd.ai_hub.waiting import follow
from qnn_sd.ai_hub.work import HubJob, HubModel, Work
from qnn_sd.console import Console
from qnn_sd.errors import HubDeadlineError, HubJobError, HubServiceError, SettingError

_QAIRT = "qairt"
_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})+")


class HubService:
    """One account at AI Hub. ``open`` makes one.

    Args:
        api: of the account.
        journal: of what was uploaded and submitted.
        console: shows the progress.

    Attributes:
        web_url: of its pages, for links; no token in it.
        host: of the service.
        account_file: the file that the account was read from.
        journal: of what was uploaded and submitted.
    """

    def __init__(self, api: Api, journal: Journal, console: Console) -> None:
        self._api, self.journal, self._console = api, journal, console
        self._uploads = Uploads(api, journal, console)
        self._results = Results(api, console)
        self._submission = Submission(api, journal, self._uploads, console)
        self._devices: list[CloudDevice] | None = None
        self._pending: set[str] = set()
        self.web_url, self.host, self.account_file = api.account.web_url, api.account.host, api.account.path

    @classmethod
    def open(cls, cache: Path, console: Console) -> HubService:
        """The account of ``client.ini``; its token is tried.

        Args:
            cache: folder of the artifacts; the journal is kept there.
            console: shows the progress.

        Raises:
            HubAccountError: no token, a wrong one, or a client that is missing or too old.
            HubServiceError: the service doesn't answer.
        """
        require_client()
        account = read_configuration(console)
        api = Api(account)
        check_account(api, console)
        return cls(api, Journal(cache, account.account_key), console)

    @property
    def is_stand_in(self) -> bool:
        """Whether the stand-in of this package answers, and no device does."""
        return any(each.is_stand_in for each in self.devices())

    def devices(self) -> list[CloudDevice]:
        """The account's devices, asked for once.

        Raises:
            HubServiceError: the service or network failed.
        """
        if self._devices is None:
            found = self._api.call("list AI Hub's devices", self._api.client.get_devices)
            if not found:
                raise HubServiceError(
                    f"{self.host} lists no devices for this account",
                    why="AI Hub lists its devices for every account: the answer is empty, or another service's.",
                    hint=f"Check api_url in {self.account_file}, and run the command again.",
                )
            self._devices = [CloudDevice(each.name, each.os, tuple(each.attributes)) for each in found]
        return self._devices

    def find_device(self, name: str) -> CloudDevice:
        """The device that a name means: a device's own, its chip's, or that of a SoC that has a profile.

        Raises:
            HubDeviceError: there is none; near names are in it.
            HubServiceError: the service or network failed.
        """
        return cloud_devices.find_device(name, self.devices(), self._console)

    def qairt_versions(self) -> list[str]:
        """The QAIRT releases that jobs can ask for, such as ``2.50``, oldest first.

        Raises:
            HubServiceError: the service or network failed.
        """
        found = self._api.call("list AI Hub's QAIRT versions", self._api.client.get_frameworks)
        versions = {each.api_version for each in found if each.name.lower() in (_QAIRT, "qnn")}
        # Others, such as "latest", can't be compared with what binaries need.
        return sorted(filter(_VERSION.fullmatch, versions), key=lambda each: [int(part) for part in each.split(".")])

    def refuse_too_large(self, sources: Mapping[str, Path]) -> None:
        """Measures all that is to be uploaded, before any of it is.

        Args:
            sources: by their labels.

        Raises:
            HubServiceError: one is larger than AI Hub takes.
        """
        refuse_too_large(sources)

    def upload(self, source: Path, label: str) -> HubModel:
        """A model at AI Hub; sent if its content isn't there yet.

        Args:
            source: a context binary, a DLC, or a clean folder (``model_folder.py``).
            label: what people call it.

        Raises:
            HubAccountError: the account can't upload.
            HubServiceError: it is too large, or the service or network failed.
        """
        return self._uploads.model(source, label)

    def submit(self, work: Work, purpose: Mapping[str, str] | None = None) -> HubJob:
        """The job of a work; submitted if there is none that goes on or ended well.

        Args:
            work: what is to be done.
            purpose: what ``qnn-sd hub resume`` needs to keep the result.

        Raises:
            HubAccountError: the account can't submit.
            HubDeviceError: the device is gone.
            HubServiceError: the service or network failed.
        """
        submitted = self.job_of(self._submission.submit(work, dict(purpose or {})))
        self.expect([submitted])
        return submitted

    def expect(self, jobs: Sequence[HubJob]) -> None:
        """Counts jobs that are to be waited for: what a command says is kept, should it be stopped."""
        self._pending.update(each.id for each in jobs)
        self._console.kept.hub_jobs = len(self._pending)

    def wait(self, jobs: Sequence[HubJob], deadline_s: float) -> None:
        """Waits until all have ended well.

        Args:
            jobs: to wait for.
            deadline_s: seconds from now.

        Raises:
            HubJobError: one failed; the others go on.
            HubDeadlineError: the time is over; the jobs go on, and are found again.
            HubServiceError: the service or network failed.
        """
        states = self.follow(jobs, deadline_s, stop_at_failure=True)
        failed = next((each for each in jobs if states[each.id].is_failed), None)
        if failed is not None:
            raise self.job_error(failed, states[failed.id])
        if left := [each for each in jobs if not states[each.id].has_ended]:
            raise self.deadline_error(left, states, deadline_s)

    def follow(self, jobs: Sequence[HubJob], deadline_s: float, stop_at_failure: bool = False) -> dict[str, JobState]:
        """Waits until all have ended, or the time is over; for those that want what there is of the others.

        Args:
            jobs: to wait for.
            deadline_s: seconds from now.
            stop_at_failure: whether one that failed ends the wait.

        Returns:
            The last known state of each, by its identifier.

        Raises:
            HubServiceError: the service or network failed.
            SettingError: the time is no number.
        """
        if not math.isfinite(deadline_s):
            raise SettingError(f"{deadline_s} is no time to wait", hint="Give a number of seconds.")

        def on_end(job: HubJob, state: JobState) -> bool:
            self._note(job, state)
            return not (stop_at_failure and state.is_failed)

        return follow(self._api, jobs, deadline_s, self._console, on_end)

    def state(self, job: HubJob) -> JobState:
        """How far a job is.

        Raises:
            HubServiceError: the service or network failed.
        """
        try:
            state = state_of(self._api, job.id)
        except CallFailed as failed:
            raise failed.failure.error() from failed.failure.raised
        if state.has_ended:
            self._note(job, state)
        return state

    def _note(self, job: HubJob, state: JobState) -> None:
        self._pending.discard(job.id)
        self._console.kept.hub_jobs = len(self._pending)
        entry = self.journal.job(job.key)
        if entry is not None and entry.id == job.id:
            failed = {"state": "failed", "failure_type": state.failure_type}
            self.journal.write(entry.model_copy(update=failed if state.is_failed else {"state": "done"}))
        if state.is_gone:
            self._note_gone(job)

    def _note_gone(self, job: HubJob) -> None:
        """The next time this work is submitted anew, although AI Hub may still list the job."""
        entry = self.journal.job(job.key)
        if entry is not None and entry.id == job.id and not entry.is_gone:
            self.journal.write(entry.model_copy(update={"gone": (*entry.gone, job.id)}))

    @contextlib.contextmanager
    def _result_of(self, job: HubJob) -> Iterator[None]:
        try:
            yield
        except ResultGone as gone:
            self._note_gone(job)
            raise gone.error from gone.__cause__

    def job_error(self, job: HubJob, state: JobState) -> HubJobError:
        """A failed job as it is told: what its failure type means, what its log says, its link."""
        return job_ends.job_error(self._api, job, state)

    def deadline_error(
        self, left: Sequence[HubJob], states: Mapping[str, JobState], deadline_s: float
    ) -> HubDeadlineError:
        """Jobs that go on when the time is over, as it is told."""
        return job_ends.deadline_error(left, states, deadline_s)

    def profile(self, job: HubJob) -> HubProfile:
        """What a profile or inference job measured.

        Raises:
            HubServiceError: the service or network failed, or the job has no profile.
        """
        with self._result_of(job):
            return self._results.profile(job)

    def qairt_of(self, job: HubJob) -> str | None:
        """The QAIRT version that a profile or inference job ran with; None where AI Hub doesn't say.

        Raises:
            HubServiceError: the service or network failed.
        """
        with self._result_of(job):
            return self._results.qairt_of(job)

    def outputs(self, job: HubJob) -> dict[str, list[NDArray[Any]]]:
        """The outputs of an inference job that had inputs: one array a sample.

        Raises:
            HubServiceError: the service or network failed, or the job has no outputs.
        """
        with self._result_of(job):
            return self._results.outputs(job)

    def target_model(self, job: HubJob) -> HubModel:
        """What a compile or link job made, for further work.

        Raises:
            HubServiceError: the service or network failed, or the job made none.
        """
        with self._result_of(job):
            return self._results.target_model(job)

    def download_model(self, job: HubJob, to: Path) -> Path:
        """The file that a compile or link job made.

        It is written beside its place and renamed. AI Hub's client starts a download that was cut anew.

        Args:
            job: that has ended well.
            to: its place, without or with AI Hub's suffix (``.bin``, ``.dlc``, ``.onnx.zip``).

        Returns:
            The file, with AI Hub's suffix.

        Raises:
            HubServiceError: the service or network failed, or the job made none.
            OutputError: it can't be written.
        """
        with self._result_of(job):
            return self._results.download_model(job, to)

    def jobs(self) -> list[HubJob]:
        """All jobs of the journal that AI Hub has answered for, newest first."""
        return [self.job_of(each) for each in self.journal.jobs() if each.id is not None]

    def job_of(self, entry: JobEntry) -> HubJob:
        """A job of the journal that AI Hub has answered for."""
        assert entry.id is not None, "a job without an answer has no identifier"
        return HubJob(entry.id, entry.kind, entry.label, entry.device, self._api.job_url(entry.id), entry.key)
