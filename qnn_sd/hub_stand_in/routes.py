"""Which request asks for what: paths of AI Hub's interface, as its client sends them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from qai_hub import public_api_pb2 as api

from qnn_sd.hub_stand_in.job_records import is_finished, kind_of, part_of, summary_of
from qnn_sd.hub_stand_in.job_runner import LOG_FILE, JobRunner
from qnn_sd.hub_stand_in.refusals import RequestRefused
from qnn_sd.hub_stand_in.service import USER, Service
from qnn_sd.hub_stand_in.store import Store
from qnn_sd.hub_stand_in.transfers import FILE_FIELD, Transfers
from qnn_sd.hub_stand_in.work import RESULT_FILE

_EXTENSIONS = {
    api.MODEL_TYPE_QNN_CONTEXT_BINARY: ".bin",
    api.MODEL_TYPE_QNN_DLC: ".dlc",
}


@dataclass(frozen=True)
class Request:
    """A request to the interface.

    Attributes:
        method: of HTTP.
        path: below ``/api/v1/``, without slashes at its ends.
        query: by name, all values.
        body: all of it.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    body: bytes

    def word(self, name: str) -> str:
        """A query's value; empty where there is none."""
        return self.query.get(name, [""])[0]

    def number(self, name: str, otherwise: int) -> int:
        """A query's whole number.

        Raises:
            RequestRefused: it is none (400).
        """
        text = self.word(name)
        if text and not re.fullmatch(r"[0-9]{1,15}", text):
            raise RequestRefused(400, f"{name} must be a number.")
        return int(text) if text else otherwise

    def message(self, kind: Callable[[], Any]) -> Any:
        """Its body as one of the client's messages.

        Raises:
            RequestRefused: it is none (400).
        """
        message = kind()
        try:
            message.ParseFromString(self.body)
        except DecodeError as error:
            raise RequestRefused(400, "The body is not the expected message.") from error
        return message


class Routes:
    """Answers requests to the interface.

    Args:
        service: that makes records.
        store: that keeps them.
        runner: of jobs.
        transfers: of files.
    """

    def __init__(self, service: Service, store: Store, runner: JobRunner, transfers: Transfers) -> None:
        self._service, self._store, self._runner, self._transfers = service, store, runner, transfers
        one = r"([a-z0-9]+)"
        self._routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "users/auth/user", lambda _request: USER),
            ("GET", "devices", self._devices),
            ("GET", "frameworks", self._frameworks),
            ("POST", "models", lambda request: service.create_model(request.message(api.Model))),
            ("GET", "models", self._models),
            ("GET", f"models/{one}", lambda _request, name: store.models.get(name)),
            ("GET", f"models/{one}/multipart_upload", self._upload_model),
            ("POST", f"models/{one}/multipart_upload", self._complete_model),
            ("GET", f"models/{one}/download", self._download_model),
            ("POST", "datasets", lambda request: service.create_dataset(request.message(api.Dataset))),
            ("GET", "datasets", self._datasets),
            ("GET", f"datasets/{one}", lambda _request, name: store.datasets.get(name)),
            ("PATCH", f"datasets/{one}", lambda _request, name: service.dataset_arrived(name)),
            ("GET", f"datasets/{one}/upload_url", self._upload_dataset),
            ("GET", f"datasets/{one}/download_data", self._download_dataset),
            ("POST", "jobs", self._create_job),
            ("GET", "jobs", self._jobs),
            ("GET", "job_summaries", self._summaries),
            ("GET", f"jobs/{one}", lambda _request, name: runner.poll(name)),
            ("PATCH", f"jobs/{one}", self._rename_job),
            ("GET", f"jobs/{one}/result", self._result),
            ("GET", f"jobs/{one}/device_runs/(?:latest|[0-9]+)/artifact_list/([0-9]+)", self._artifacts),
        ]

    def answer(self, request: Request) -> Any:
        """The message that answers a request.

        Raises:
            RequestRefused: with the status of HTTP.
        """
        for method, pattern, function in self._routes:
            match = re.fullmatch(pattern, request.path) if method == request.method else None
            if match is not None:
                return function(request, *match.groups())
        raise RequestRefused(404, "The stand-in doesn't have this.")

    def _devices(self, request: Request) -> api.DeviceList:
        name, os, attributes = request.word("name"), request.word("os"), request.query.get("attributes", [])
        if request.word("select").lower() == "true":
            selected = self._service.select(api.Device(name=name, os=os, attributes=attributes))
            found = [] if selected is None else [selected]
        else:
            found = self._service.devices(name, os, attributes)
        return api.DeviceList(devices=[each.message() for each in found], total_query_count=len(found))

    def _frameworks(self, _request: Request) -> api.FrameworkList:
        found = self._service.frameworks()
        return api.FrameworkList(frameworks=found, total_query_count=len(found))

    def _models(self, request: Request) -> api.ModelList:
        found = self._store.models.newest_first()
        if producer := request.word("producer"):
            found = [each for each in found if each.producer_id == producer]
        return api.ModelList(models=_page(request, found), total_query_count=len(found))

    def _upload_model(self, request: Request, name: str) -> Any:
        self._store.models.get(name)
        size = request.number("file_size", 0)
        self._service.check_size(size)
        parts = self._transfers.parts_for(name, size)
        return api.FileUploadResponse(multipart_url=parts) if request.word("supports_s3_credentials") else parts

    def _complete_model(self, request: Request, name: str) -> api.CreateUpdateResponse:
        # A client whose answer was lost asks again: the parts are gone then, and all is well.
        if not self._store.models.get(name).file_upload_complete:
            self._transfers.complete(name, request.message(api.FileMultipartUploadComplete))
            self._service.model_arrived(name)
        return api.CreateUpdateResponse(id=name)

    def _download_model(self, request: Request, name: str) -> Any:
        model = self._store.models.get(name)
        return self._download(request, name, model.file_upload_complete, _file_name(model))

    def _download_dataset(self, request: Request, name: str) -> Any:
        dataset = self._store.datasets.get(name)
        return self._download(request, name, dataset.file_upload_complete, f"dataset-{name}.h5")

    def _download(self, request: Request, name: str, is_complete: bool, file_name: str) -> Any:
        if not is_complete:
            raise RequestRefused(404, "There is no file.")
        url = api.FileDownloadURL(url=self._transfers.address("content", name), filename=file_name)
        return api.FileDownloadResponse(url=url) if request.word("supports_s3_credentials") else url

    def _datasets(self, request: Request) -> api.DatasetList:
        found = self._store.datasets.newest_first()
        return api.DatasetList(datasets=_page(request, found), total_query_count=len(found))

    def _upload_dataset(self, request: Request, name: str) -> Any:
        self._store.datasets.get(name)
        url = api.FileUploadURL(url=self._transfers.address("form", name), file_field_name=FILE_FIELD)
        return api.FileUploadResponse(url=url) if request.word("supports_s3_credentials") else url

    def _create_job(self, request: Request) -> api.CreateUpdateResponse:
        created = self._service.create_job(request.message(api.Job))
        self._runner.start_due()
        return created

    def _chosen(self, request: Request) -> list[api.Job]:
        """The jobs that a query asks for, as they are told."""
        found = [self._runner.shown(each) for each in self._store.jobs.newest_first()]
        if kind := request.word("type"):
            found = [each for each in found if str(each.WhichOneof("job")) == f"{kind}_job"]
        if states := request.word("state"):
            found = [each for each in found if str(part_of(each).job_state) in states.split(",")]
        return found

    def _jobs(self, request: Request) -> api.JobList:
        found = self._chosen(request)
        return api.JobList(jobs=_page(request, found), total_query_count=len(found))

    def _summaries(self, request: Request) -> api.JobSummaryList:
        found = self._chosen(request)
        page = [summary_of(each) for each in _page(request, found)]
        return api.JobSummaryList(job_summaries=page, total_query_count=len(found))

    def _rename_job(self, request: Request, name: str) -> api.CreateUpdateResponse:
        return self._service.rename_job(name, request.message(api.JobPublicUpdate))

    def _result(self, _request: Request, name: str) -> api.JobResult:
        job = self._runner.shown(self._store.jobs.get(name))
        path = self._store.files_of(name) / RESULT_FILE
        if not is_finished(job) or not path.is_file():
            raise RequestRefused(404, f"The {kind_of(job)} job has no result.")
        result = api.JobResult()
        result.ParseFromString(path.read_bytes())
        return result

    def _artifacts(self, _request: Request, name: str, number: str) -> api.NamedArtifactDownloadURLList:
        job = self._runner.shown(self._store.jobs.get(name))
        if int(number) not in job.available_artifacts:
            raise RequestRefused(404, "There is no such artifact.")
        url = self._transfers.address("log", name)
        return api.NamedArtifactDownloadURLList(
            artifacts=[api.NamedArtifactDownloadURL(url=url, filename=f"{name}_{LOG_FILE}", name=LOG_FILE)]
        )


def _page(request: Request, found: list[Any]) -> list[Any]:
    offset = request.number("offset", 0)
    return found[offset : offset + request.number("limit", 50)]


def _file_name(model: api.Model) -> str:
    """What a downloaded file is called."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", model.name.removesuffix(".onnx").removesuffix(".bin"))[:80] or "model"
    plain = ".onnx.zip" if model.is_directory else ".onnx"
    return stem + _EXTENSIONS.get(model.model_type, plain)
