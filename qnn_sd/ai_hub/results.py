"""What jobs have made: profiles, outputs, models."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from qnn_sd.ai_hub.api import Api
from qnn_sd.ai_hub.profile_result import HubProfile, profile_of_json
from qnn_sd.ai_hub.waiting import title_of
from qnn_sd.ai_hub.work import HubJob, HubModel
from qnn_sd.artifact import sha256_of_json
from qnn_sd.console import Console
from qnn_sd.errors import HubServiceError
from qnn_sd.output_files import output_error


class Results:
    """The results of one account's jobs; ``HubService`` says what each raises.

    Args:
        api: of the account.
        console: shows the progress.
    """

    def __init__(self, api: Api, console: Console) -> None:
        self._api, self._console = api, console

    def profile(self, job: HubJob) -> HubProfile:
        """What a profile or inference job measured."""
        found = self._api.call(f"fetch the profile of {job.id} from AI Hub", self._hub_job(job).download_profile)
        if not isinstance(found, dict) or not found.get("execution_summary"):
            raise HubServiceError(
                f"AI Hub has no profile of {job.id}, {title_of(job)}", hint=f"Look at the job's page: {job.url}"
            )
        return profile_of_json(found)

    def outputs(self, job: HubJob) -> dict[str, list[NDArray[Any]]]:
        """The outputs of an inference job that had inputs: one array a sample."""
        found = self._api.call(f"fetch the outputs of {job.id} from AI Hub", self._hub_job(job).download_output_data)
        if not isinstance(found, dict):
            raise HubServiceError(
                f"AI Hub has no outputs of {job.id}, {title_of(job)}",
                why="Its outputs are kept for 30 days.",
                hint=f"Look at the job's page: {job.url}",
            )
        return dict(found)

    def target_model(self, job: HubJob) -> HubModel:
        """What a compile or link job made, for further work."""
        model = self._api.call(f"look at the model of {job.id} at AI Hub", self._hub_job(job).get_target_model)
        if model is None:
            raise HubServiceError(
                f"AI Hub has no model of {job.id}, {title_of(job)}", hint=f"Look at the job's page: {job.url}"
            )
        return HubModel(str(model.model_id), sha256_of_json({"made by": job.key}), job.label)

    def download_model(self, job: HubJob, to: Path) -> Path:
        """The file that a compile or link job made, with AI Hub's suffix."""
        made = self.target_model(job)
        model = self._api.call(f"look at the model {made.id} at AI Hub", self._api.client.get_model, made.id)
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{to.name}.", suffix=".part", dir=to.parent) as folder:
                with self._console.working(f"downloading {job.label} from AI Hub"):
                    doing = f"download {job.label} from AI Hub"
                    arrived = Path(self._api.call(doing, model.download, str(Path(folder, to.name))))
                return arrived.replace(to.parent / arrived.name)
        except OSError as error:
            raise output_error(to, error) from error

    def _hub_job(self, job: HubJob) -> Any:
        return self._api.call(f"look at the job {job.id} at AI Hub", self._api.client.get_job, job.id)
