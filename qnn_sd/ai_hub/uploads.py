"""Uploads, once by content: from the journal, else by name in the account, else sent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from qnn_sd.ai_hub import content, listing
from qnn_sd.ai_hub.api import Api, CallFailed
from qnn_sd.ai_hub.bytes_sent import bytes_sent
from qnn_sd.ai_hub.journal import Journal, UploadEntry
from qnn_sd.ai_hub.patience import patiently
from qnn_sd.ai_hub.work import HubModel, name_at_hub, sha256_of_inputs
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.in_words import gigabytes
from qnn_sd.output_files import output_error

# Of the whole; AI Hub's client itself tries each part several times.
_ATTEMPTS = 3


class Uploads:
    """The uploads of one account.

    Args:
        api: of the account.
        journal: likewise.
        console: shows the progress.
    """

    def __init__(self, api: Api, journal: Journal, console: Console) -> None:
        self._api, self._journal, self._console = api, journal, console

    def model(self, source: Path, label: str) -> HubModel:
        """A model at AI Hub; sent if it isn't there.

        Args:
            source: a file, or a clean folder (``model_folder.py``).
            label: what people call it.

        Raises:
            HubAccountError: the account can't upload.
            HubServiceError: it is too large, or the service or network failed.
            OutputError: no file can be written here.
        """
        content.refuse_too_large({label: source})
        sha256 = content.sha256_of(source, label, self._console)
        # The folder for a zip is made also where none is sent, so that what a killed upload left goes away.
        with self._journal.held(sha256, f"the upload of {label}", self._console), self._journal.scratch(sha256) as room:
            known = self._journal.upload(sha256)
            identifier = self._known_model(known) or self._send_model(source, label, sha256, known, room)
            if known is None or known.id != identifier:
                self._journal.write(
                    UploadEntry(sha256=sha256, label=label, kind="model", id=identifier, at=time.time())
                )
        return HubModel(identifier, sha256, label)

    def _known_model(self, known: UploadEntry | None) -> str | None:
        """The journal's model, if AI Hub still has it."""
        if known is None or known.id is None:
            return None
        try:
            self._api.attempt(f"look at the model {known.id} at AI Hub", self._api.client.get_model, known.id)
        except CallFailed as failed:
            if failed.failure.is_missing:
                return None
            raise failed.failure.error() from failed.failure.raised
        return known.id

    def _send_model(self, source: Path, label: str, sha256: str, known: UploadEntry | None, room: Path) -> str:
        name = name_at_hub(label, sha256)
        listed = listing.models_named(self._api, name, None if known is None else known.at)
        if whole := next((each for each in listed if each.is_whole), None):
            self._console.say(f"{label}: AI Hub has it already ({whole.id})")
            return whole.id
        self._journal.write(UploadEntry(sha256=sha256, label=label, kind="model", id=None, at=time.time()))
        try:
            sent = content.zipped(source, room) if source.is_dir() else source
        except OSError as error:
            raise output_error(room, error) from error
        begun = listed[-1].id if listed else None
        return self._until_whole(sent, source, label, name, begun)

    def _until_whole(self, sent: Path, source: Path, label: str, name: str, begun: str | None) -> str:
        """Sends a file; one that was begun goes on as the same model."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._send_once(sent, source, label, name, begun)
            except CallFailed as failed:
                if not failed.failure.may_pass or attempt == _ATTEMPTS:
                    raise failed.failure.error() from failed.failure.raised
                self._console.say(f"the upload of {label} was interrupted: going on")
            listed = listing.models_named(self._api, name, time.time())
            if whole := next((each for each in listed if each.is_whole), None):
                return whole.id  # only the last answer was lost
            begun = listed[-1].id if listed else None
        raise AssertionError("the last attempt returns or raises")

    def _send_once(self, sent: Path, source: Path, label: str, name: str, begun: str | None) -> str:
        api, doing, size = self._api, f"upload {label} to AI Hub", sent.stat().st_size
        title = f"uploading {label} to AI Hub ({gigabytes(size)})"
        if not self._console.shows_rows:
            self._console.say(title)

        def share(_seconds: float) -> float:
            return bytes_sent(sent) / max(size, 1)

        def state(_seconds: float) -> str:
            return f"{bytes_sent(sent) / 1e6:,.0f}/{size / 1e6:,.0f} MB"

        with self._console.working(title, share, state):
            if begun is not None:
                answer = patiently(
                    api, self._console, doing, api.rest.upload_model, api.config, str(sent), begun, verbose=False
                )
                return str(answer.id) or begun
            answer = patiently(
                api,
                self._console,
                doing,
                api.rest.create_and_upload_model,
                api.config,
                str(sent),
                model_type=_model_type(source),
                name=name,
                project_id=api.config.default_project,
                is_directory=source.is_dir(),
                verbose=False,
            )
            return str(answer.id)

    def dataset(self, inputs: Mapping[str, list[NDArray[Any]]], label: str) -> str:
        """The identifier of recorded inputs at AI Hub; sent if they aren't there, or have expired.

        Args:
            inputs: as ``InferenceWork`` has them.
            label: what people call it.

        Raises:
            HubAccountError: the account can't upload.
            HubServiceError: the service or network failed.
        """
        label = f"inputs of {label}"
        sha256 = sha256_of_inputs(inputs)
        with self._journal.held(sha256, f"the upload of {label}", self._console):
            known = self._journal.upload(sha256)
            if known is not None and known.id is not None and self._is_kept(known.id):
                return known.id
            identifier = self._send_dataset(inputs, label, sha256, known)
            self._journal.write(UploadEntry(sha256=sha256, label=label, kind="dataset", id=identifier, at=time.time()))
        return identifier

    def _is_kept(self, identifier: str) -> bool:
        """Whether AI Hub still has a dataset: it keeps them for 30 days."""
        try:
            return not self._api.attempt(
                f"look at the inputs {identifier} at AI Hub", self._api.client.get_dataset, identifier
            ).is_expired()
        except CallFailed as failed:
            if failed.failure.is_missing:
                return False
            raise failed.failure.error() from failed.failure.raised

    def _send_dataset(
        self, inputs: Mapping[str, list[NDArray[Any]]], label: str, sha256: str, known: UploadEntry | None
    ) -> str:
        api, name = self._api, name_at_hub(label, sha256)
        since = None if known is None else known.at
        for each in listing.datasets_named(api, name, since):
            if each.is_whole and self._is_kept(each.id):
                return each.id
        self._journal.write(UploadEntry(sha256=sha256, label=label, kind="dataset", id=None, at=time.time()))
        size = sum(each.nbytes for samples in inputs.values() for each in samples)
        title = f"uploading the {label} to AI Hub ({gigabytes(size)})"
        if not self._console.shows_rows:
            self._console.say(title)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._console.working(title):
                    sent = patiently(
                        api,
                        self._console,
                        f"upload the {label} to AI Hub",
                        api.client.upload_dataset,
                        dict(inputs),
                        name=name,
                    )
                return str(sent.dataset_id)
            except CallFailed as failed:
                if not failed.failure.may_pass or attempt == _ATTEMPTS:
                    raise failed.failure.error() from failed.failure.raised
                self._console.say(f"the upload of the {label} was interrupted: starting again")
        raise AssertionError("the last attempt returns or raises")


def _model_type(source: Path) -> Any:
    """AI Hub's number of what is uploaded.

    Raises:
        SettingError: it is none that AI Hub takes.
    """
    from qai_hub import public_api_pb2 as messages  # noqa: PLC0415

    suffixes = {each.suffix for each in content.files_of(source)}
    kind = next((kind for suffix, kind in _TYPES if suffix in suffixes), None)
    if kind is None:
        raise SettingError(
            f"{source} is nothing that AI Hub takes", hint="Give a context binary (.bin), a .dlc or an ONNX folder."
        )
    return messages.ModelType.Value(f"MODEL_TYPE_{kind}")


# The first that fits: encodings make an ONNX folder AIMET's, and beside an ONNX file a binary is its data.
_TYPES: tuple[tuple[str, str], ...] = (
    (".encodings", "AIMET_ONNX"),
    (".onnx", "ONNX"),
    (".bin", "QNN_CONTEXT_BINARY"),
    (".dlc", "QNN_DLC"),
)
