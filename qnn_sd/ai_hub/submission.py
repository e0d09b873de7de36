"""Submits work, once: the intent goes into the journal, and the job is looked for by its name."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qnn_sd.ai_hub import listing
from qnn_sd.ai_hub.api import Api, CallFailed
from qnn_sd.ai_hub.cloud_devices import CloudDevice
from qnn_sd.ai_hub.job_states import state_of
from qnn_sd.ai_hub.journal import JobEntry, Journal
from qnn_sd.ai_hub.patience import patiently
from qnn_sd.ai_hub.uploads import Uploads
from qnn_sd.ai_hub.work import (
    CompileWork,
    HubModel,
    InferenceWork,
    JobKind,
    LinkWork,
    ProfileWork,
    Work,
    job_name,
)
from qnn_sd.console import Console

# A day less than AI Hub keeps them: they are yet to be fetched.
_OUTPUTS_SECONDS = 29 * 24 * 3600.0


class Submission:
    """The submissions of one account.

    Args:
        api: of the account.
        journal: likewise.
        uploads: likewise.
        console: is told what was found again.
    """

    def __init__(self, api: Api, journal: Journal, uploads: Uploads, console: Console) -> None:
        self._api, self._journal, self._uploads, self._console = api, journal, uploads, console

    def submit(self, work: Work, purpose: dict[str, str]) -> JobEntry:
        """The job of a work: the one that there is, or a new one. One that failed is no job of it any more.

        Args:
            work: what is to be done.
            purpose: what the journal keeps for whoever takes the job up again.

        Raises:
            HubAccountError: the account can't submit.
            HubServiceError: the service or network failed.
            HubDeviceError: the device is gone.
        """
        key, name = work.key, job_name(work)
        with self._journal.held(key, f"{work.label} on {work.device.name}", self._console):
            known = self._journal.job(key)
            if known is not None and known.id is not None and self._is_of_use(known):
                return known
            # An attempt that has failed leaves its name at AI Hub; jobs that failed are not looked at.
            since = None if known is None else known.at
            listed = listing.jobs_named(self._api, name, since)
            gone = () if known is None else known.gone
            if found := [each for each in listed if _keeps(work.kind, each.at) and each.id not in gone]:
                self._console.say(f"{work.label}: found its job at AI Hub ({found[0].id})")
                return self._keep(self._entry(work, purpose, found[0].id, found[0].at, gone))
            intent = self._entry(work, purpose, None, time.time(), gone)
            self._journal.write(intent)
            former = frozenset(each.id for each in listed)
            identifier = self._send(work, name, intent.at, former)
            first = self._first_of(work, name, identifier, intent.at, former)
            return self._keep(intent.model_copy(update={"id": first}))

    def _is_of_use(self, known: JobEntry) -> bool:
        """Whether the journal's job still is, and hasn't failed."""
        if known.state == "failed" or known.id is None or not _keeps(known.kind, known.at):
            return False
        if known.is_gone:
            self._console.say(f"{known.label}: AI Hub no longer has what {known.id} made; submitting it again")
            return False
        try:
            state = state_of(self._api, known.id)
        except CallFailed as failed:
            raise failed.failure.error() from failed.failure.raised
        if state.is_failed:
            what = "is gone" if state.is_gone else "failed"
            self._console.say(f"{known.label}: its former job {known.id} {what}; submitting it again")
        return not state.is_failed

    def _new(self, name: str, at: float, former: frozenset[str]) -> list[listing.Listed]:
        """The jobs of a name that weren't there before."""
        return [each for each in listing.jobs_named(self._api, name, at) if each.id not in former]

    def _send(self, work: Work, name: str, at: float, former: frozenset[str]) -> str:
        """Posts a job. Where no answer came it may be there all the same: then it is looked for."""
        doing = f"submit {work.label} on {work.device.name} to AI Hub"
        try:
            return patiently(self._api, self._console, doing, self._post(work, name))
        except CallFailed as failed:
            if failed.failure.may_pass and (found := self._new(name, at, former)):
                return found[0].id
            raise failed.failure.error() from failed.failure.raised

    def _first_of(self, work: Work, name: str, identifier: str, at: float, former: frozenset[str]) -> str:
        """The client repeats a request whose answer was lost: of two jobs the first is used, and it is said."""
        found = self._new(name, at, former)
        others = [each.id for each in found if each.id != found[0].id]
        if not others:
            return identifier
        self._console.warn(
            f"{work.label}: AI Hub took the request more than once; {found[0].id} is used, "
            f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} the same job again"
        )
        return found[0].id

    def _keep(self, entry: JobEntry) -> JobEntry:
        self._journal.write(entry)
        return entry

    def _entry(
        self, work: Work, purpose: dict[str, str], identifier: str | None, at: float, gone: tuple[str, ...]
    ) -> JobEntry:
        return JobEntry(
            key=work.key,
            name=job_name(work),
            kind=work.kind,
            label=work.label,
            device=work.device.name,
            os=work.device.os,
            id=identifier,
            at=at,
            purpose=purpose,
            gone=gone,
        )

    def _post(self, work: Work, name: str) -> Callable[[], str]:
        """What posts a work; uploads and models are looked up first, so that only the request itself is tried again."""
        client, device = self._api.client, _device(work.device)
        if isinstance(work, LinkWork):
            models = [self._model(each) for each in work.models]
            return lambda: str(client.submit_link_job(models, device, name=name, options=work.options).job_id)
        model = self._model(work.model)
        if isinstance(work, CompileWork):
            specs = dict(work.input_specs) or None
            return lambda: str(
                client.submit_compile_job(
                    model, device, name=name, input_specs=specs, options=work.options, retry=False
                ).job_id
            )
        inputs = self._inputs(work)
        return lambda: str(
            client.submit_inference_job(
                model, device, inputs=inputs, name=name, options=work.options, retry=False, profile=True
            ).job_id
        )

    def _model(self, model: HubModel) -> Any:
        return self._api.call(f"look at the model {model.id} at AI Hub", self._api.client.get_model, model.id)

    def _inputs(self, work: ProfileWork | InferenceWork) -> Any:
        if isinstance(work, ProfileWork):
            return None
        identifier = self._uploads.dataset(work.inputs, work.label)
        return self._api.call(f"look at the inputs {identifier} at AI Hub", self._api.client.get_dataset, identifier)


def _keeps(kind: JobKind, at: float) -> bool:
    """Whether AI Hub still has what a job made: outputs are datasets, which it keeps for 30 days."""
    return kind != "inference" or time.time() - at < _OUTPUTS_SECONDS


def _device(device: CloudDevice) -> Any:
    from qai_hub import Device  # noqa: PLC0415

    return Device(device.name, device.os)
