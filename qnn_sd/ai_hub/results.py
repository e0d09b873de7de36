"""What jobs have made: profiles, outputs, models."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from qnn_sd.ai_hub.api import Api, CallFailed
from qnn_sd.ai_hub.profile_result import HubProfile, profile_of_json
from qnn_sd.ai_hub.waiting import title_of
from qnn_sd.ai_hub.work import HubJob, HubModel
from qnn_sd.artifact import sha256_of_json
from qnn_sd.console import Console
from qnn_sd.errors import HubServiceError, QnnSdError
from qnn_sd.output_files import output_error


class ResultGone(Exception):
    """A job that ended well, and of which AI Hub doesn't have the result, or not any more.

    Args:
        error: as it is told.
    """

    def __init__(self, error: QnnSdError) -> None:
        super().__init__(error.what)
        self.error = error


class Results:
    """The results of one account's jobs; ``HubService`` says what each raises, besides ``ResultGone``.

    Args:
        api: of the account.
        console: shows the progress.
    """

    def __init__(self, api: Api, console: Console) -> None:
        self._api, self._console = api, console

    def profile(self, job: HubJob) -> HubProfile:
        """What a profile or inference job measured."""
        found = self._call(job, f"fetch the profile of {job.id} from AI Hub", self._hub_job(job).download_profile)
        try:
            return profile_of_json(found)
        except HubServiceError as error:
            raise _gone(job, "profile", error.why) from error

    def qairt_of(self, job: HubJob) -> str | None:
        """The QAIRT version that a profile or inference job ran with."""
        doing = f"fetch the result of {job.id} from AI Hub"
        found = self._call(job, doing, self._api.rest.get_job_results, self._api.config, job.id)
        result = getattr(found, found.WhichOneof("result") or "", None)
        detail = getattr(result, "detail", None) or getattr(result, "profile", None)
        tools = {each.name.upper(): str(each.version) for each in getattr(detail, "tool_versions", ())}
        return next((tools[name] for name in ("QAIRT", "QNN") if tools.get(name)), None)

    def outputs(self, job: HubJob) -> dict[str, list[NDArray[Any]]]:
        """The outputs of an inference job that had inputs: one array a sample."""
        found = self._call(job, f"fetch the outputs of {job.id} from AI Hub", self._hub_job(job).download_output_data)
        if not isinstance(found, dict):
            gone = _gone(job, "outputs", "They are kept for 30 days.")
            # A profile has none, and is whole all the same.
            raise gone if job.kind == "inference" else gone.error
        return dict(found)

    def target_model(self, job: HubJob) -> HubModel:
        """What a compile or link job made, for further work."""
        model = self._call(job, f"look at the model of {job.id} at AI Hub", self._hub_job(job).get_target_model)
        if model is None:
            raise _gone(job, "model", "")
        return HubModel(str(model.model_id), sha256_of_json({"made by": job.key}), job.label)

    def download_model(self, job: HubJob, to: Path) -> Path:
        """The file that a compile or link job made, with AI Hub's suffix."""
        made = self.target_model(job)
        model = self._call(job, f"look at the model {made.id} at AI Hub", self._api.client.get_model, made.id)
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{to.name}.", suffix=".part", dir=to.parent) as folder:
                with self._console.working(f"downloading {job.label} from AI Hub"):
                    doing = f"download {job.label} from AI Hub"
                    arrived = Path(self._call(job, doing, model.download, str(Path(folder, to.name))))
                return arrived.replace(to.parent / arrived.name)
        except OSError as error:
            raise output_error(to, error) from error

    def _hub_job(self, job: HubJob) -> Any:
        return self._call(job, f"look at the job {job.id} at AI Hub", self._api.client.get_job, job.id)

    def _call(self, job: HubJob, doing: str, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return self._api.attempt(doing, function, *args)
        except CallFailed as failed:
            failure = failed.failure
            if failure.is_missing or (failure.status is None and "expired" in failure.text):
                raise _gone(job, "result", failure.text) from failure.raised
            raise failure.error() from failure.raised


def _gone(job: HubJob, what: str, why: str) -> ResultGone:
    return ResultGone(
        HubServiceError(
            f"AI Hub has no {what} of {job.id}, {title_of(job)}",
            why=why,
            hint=f"Run the command that submitted it again: the job is submitted anew. Its page: {job.url}",
        )
    )
