"""What AI Hub no longer has, or answers oddly: one clear sentence, nothing else lost, and submitted anew."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from qnn_sd.ai_hub import (
    CloudDevice,
    CompileWork,
    HubJob,
    HubProfile,
    HubService,
    InferenceWork,
    ProfileWork,
    qairt_to_ask_for,
)
from qnn_sd.ai_hub.cloud_devices import find_device
from qnn_sd.ai_hub.configuration import read_configuration
from qnn_sd.ai_hub.job_states import JobState
from qnn_sd.ai_hub.journal import JobEntry
from qnn_sd.ai_hub.profile_result import profile_of_json
from qnn_sd.ai_hub.service_errors import Failure
from qnn_sd.cli import profile_jobs
from qnn_sd.cli.hub_jobs import state_in_words
from qnn_sd.cli.hub_resume import _by_build
from qnn_sd.cli.profile_document import ProfiledJob, profile_document
from qnn_sd.cli.profile_facts import ProfileFacts
from qnn_sd.cli.profile_plot import svg
from qnn_sd.cli.profile_results import keep, kept_of
from qnn_sd.cli.value_types import Minutes
from qnn_sd.console import Console
from qnn_sd.errors import HubAccountError, HubDeviceError, HubJobError, HubServiceError, SettingError
from qnn_sd.hub_stand_in import Faults, StandIn, StatusFault, Stuck

DEVICE = "Samsung Galaxy S24"
FACTS = ProfileFacts("b-1", "sd15", 512, 512, 20, 2, DEVICE, "15", False, "sm8650", "", "2.50")
ACCOUNT = "[api]\napi_token = abcdef0123\napi_url = https://hub.example\nweb_url = https://hub.example\n"


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No pause is made."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


@pytest.fixture
def service(hub: StandIn, tmp_path: Path) -> HubService:
    """An account whose jobs don't end."""
    hub.set_faults(Faults(stuck=(Stuck(""),)))
    return HubService.open(tmp_path / "cache", Console())


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "unet.bin"
    path.write_bytes(b"binary")
    return path


def work_on(service: HubService, binary: Path, options: str = "") -> ProfileWork:
    return ProfileWork(service.upload(binary, "unet"), service.find_device(DEVICE), options, "unet")


def test_a_deleted_job_counts_as_failed_and_is_submitted_anew(hub: StandIn, service: HubService, binary: Path) -> None:
    work = work_on(service, binary)
    job = service.submit(work)
    hub.set_faults(Faults(stuck=(Stuck(""),), statuses=(StatusFault(404, f"jobs/{job.id}"),)))
    [entry] = service.journal.jobs()
    assert state_in_words(service, entry) == "gone"
    [entry] = service.journal.jobs()
    assert (entry.is_gone, state_in_words(service, entry)) == (True, "gone")
    with pytest.raises(HubJobError, match="is gone") as raised:
        service.wait([job], 60)
    assert "submitted anew" in raised.value.hint
    # The stand-in still lists it.
    assert service.submit(work).id != job.id
    assert hub.counts.jobs == {"profile": 2}


@pytest.mark.parametrize("kind", ["profile", "outputs", "model"])
def test_a_result_that_is_gone_is_made_anew(
    service: HubService, binary: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import qai_hub.client

    work: Any = work_on(service, binary)
    if kind == "outputs":
        work = InferenceWork(work.model, work.device, {"x": [np.zeros((1, 3), np.float32)]}, "", "unet")
    if kind == "model":
        work = CompileWork(work.model, work.device, "", "unet", {})
    fetch = {"profile": service.profile, "outputs": service.outputs, "model": service.target_model}[kind]
    monkeypatch.setattr(qai_hub.client.InferenceJob, "download_profile", lambda _: {})
    monkeypatch.setattr(qai_hub.client.InferenceJob, "download_output_data", lambda _: None)
    monkeypatch.setattr(qai_hub.client.CompileJob, "get_target_model", lambda _: None)
    former: list[str] = []
    for _ in range(3):
        job = service.submit(work)
        assert job.id not in former
        former.append(job.id)
        with pytest.raises(HubServiceError, match=f"AI Hub has no {kind} of {job.id}") as raised:
            fetch(job)
        assert "submitted anew" in raised.value.hint
    assert "no longer has what" in capsys.readouterr().err.replace("\n", " ")


class ServiceOfThree:
    """As much of an account as results need; one of three jobs has no profile."""

    def follow(self, jobs: list[HubJob], _deadline: float) -> dict[str, JobState]:
        return {each.id: JobState(10) for each in jobs}

    def profile(self, job: HubJob) -> HubProfile:
        if job.label == "unet":
            raise HubServiceError("AI Hub has no profile of junet", hint="Look.")
        return HubProfile(2.0, (2.0,), None, None, None, ())


def jobs_of(*components: str) -> dict[str, tuple[HubJob, str]]:
    return {each: (HubJob(f"j{each}", "profile", each, DEVICE, "http://hub", "k"), "ab" * 32) for each in components}


def test_one_profile_that_is_missing_loses_none_of_the_others(tmp_path: Path) -> None:
    service: Any = ServiceOfThree()
    submitted = [profile_jobs.SubmittedJobs(FACTS, jobs_of("text_encoder", "unet", "vae_decoder"))]
    [(_, found)], end = profile_jobs.results_of(service, submitted, 1.0, tmp_path, Console())
    assert isinstance(end, HubServiceError)
    assert [name for name, each in found.items() if each.profile] == ["text_encoder", "vae_decoder"]
    document = profile_document([(FACTS, found)], False, end)
    assert document.devices[0].components[1].state == "done, but its profile can't be had"
    keep(document, tmp_path)
    assert len(kept_of(tmp_path, "b-1")) == 1


def document_of(stand_in: bool = False, **median_ms: float) -> Any:
    profiled = {
        name: ProfiledJob(job, sha256, JobState(10), HubProfile(median_ms[name], (), None, None, None, ()), None)
        for name, (job, sha256) in jobs_of(*median_ms).items()
    }
    return profile_document([(FACTS, profiled)], stand_in, None)


def test_a_component_measured_again_keeps_the_others(tmp_path: Path) -> None:
    def kept(stand_in: bool = False) -> dict[str, float]:
        [document] = [each for each in kept_of(tmp_path, "b-1") if each.stand_in is stand_in]
        return {each.component: each.measured.median_ms for each in document.devices[0].components if each.measured}

    keep(document_of(text_encoder=1.0, unet=70.0, vae_decoder=150.0), tmp_path)
    keep(document_of(unet=50.0), tmp_path)
    assert kept() == {"text_encoder": 1.0, "unet": 50.0, "vae_decoder": 150.0}
    assert kept_of(tmp_path, "b-1")[0].devices[0].image_seconds == pytest.approx((2 + 2000 + 150) / 1000)
    keep(document_of(stand_in=True, unet=1.0), tmp_path)
    assert kept(stand_in=True) == {"unet": 1.0}
    assert kept()["unet"] == 50.0


def test_a_job_that_is_named_is_the_one_that_is_resumed(service: HubService, binary: Path) -> None:
    from dataclasses import replace

    jobs = [
        service.submit(
            work_on(service, binary, f"--max_profiler_iterations {at}"),
            replace(FACTS, iterations=at).purpose("unet", "ab"),
        )
        for at in (5, 6)
    ]
    for each in jobs:
        entry = service.journal.job(each.key)
        assert entry is not None
        [build] = _by_build(service, [entry])
        assert build.jobs["unet"][0].id == each.id


@pytest.mark.parametrize(
    "content",
    [
        *(None, {}, [], {"execution_summary": None}, {"execution_summary": []}, {"execution_summary": {}}),
        *({"execution_summary": {"estimated_inference_time": each}} for each in (0, -1, math.nan, None, "x", [])),
        {"execution_summary": {"estimated_inference_time": 1, "all_inference_times": 3}},
        {"execution_summary": {"estimated_inference_time": 1, "inference_memory_peak_range": [1]}},
        {"execution_summary": {"estimated_inference_time": 1}, "execution_detail": [None]},
    ],
)
def test_a_profile_that_is_none_is_one_error(content: Any) -> None:
    with pytest.raises(HubServiceError, match="The profile"):
        profile_of_json(content)


def test_calls_without_a_time_are_not_counted_and_zeros_are_drawn() -> None:
    times = [0, math.nan, -5, 3000, 1000]
    found = profile_of_json({"execution_summary": {"estimated_inference_time": 2000, "all_inference_times": times}})
    assert found.all_ms == (3.0, 1.0)
    assert svg(document_of(unet=0.0))


@pytest.mark.parametrize("typed", ["nan", "inf", "1e308", "0", "-1", "x"])
def test_a_deadline_that_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(click.BadParameter):
        Minutes().convert(typed, None, None)


def test_a_wait_without_end_is_refused(service: HubService) -> None:
    assert Minutes().convert("0.5", None, None) == 0.5
    for seconds in (math.nan, math.inf):
        with pytest.raises(SettingError, match="is no time to wait"):
            service.follow([], seconds)


def test_releases_that_cannot_be_compared_are_left_out(service: HubService, monkeypatch: pytest.MonkeyPatch) -> None:
    class Framework:
        def __init__(self, version: str) -> None:
            self.name, self.api_version = "QAIRT", version

    versions = ("latest", "", "2.x", "2.50", "2.9")
    monkeypatch.setattr(service._api.client, "get_frameworks", lambda: [Framework(each) for each in versions])
    assert service.qairt_versions() == ["2.9", "2.50"]
    assert qairt_to_ask_for(service, "2.50.0") == "2.50"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ACCOUNT.replace("web_url = https://hub.example", "web_url = https://hub.example/?t=abcdef0123"), "no ?"),
        (ACCOUNT.replace("api_url = https://hub.example", "api_url = https://hub.example#abcdef0123"), "no #"),
        (ACCOUNT.replace("web_url = https://hub.example", "web_url = https://hub.example/abcdef0123"), "in links"),
        (ACCOUNT.replace("api_url = https://hub.example", "api_url = http://[::1"), "no plain web address"),
        (ACCOUNT.replace("api_url = https://hub.example", "api_url = http://hub.example:99999"), "no plain"),
        (ACCOUNT.replace("[api]", "[API]"), "has a section [API] where AI Hub's client reads [api]"),
    ],
)
def test_addresses_that_cannot_be_shown_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, said: str
) -> None:
    path = tmp_path / "client.ini"
    monkeypatch.setenv("QAIHUB_CLIENT_INI", str(path))
    path.write_text(content, "utf-8")
    with pytest.raises(HubAccountError) as raised:
        read_configuration(Console())
    told = f"{raised.value.what} {raised.value.why} {raised.value.hint}"
    assert said in told
    assert "abcdef0123" not in told


def test_a_byte_order_mark_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "client.ini"
    monkeypatch.setenv("QAIHUB_CLIENT_INI", str(path))
    path.write_text(ACCOUNT, "utf-8-sig")
    account = read_configuration(Console())
    assert account.host == "hub.example"
    from qai_hub.public_rest_api import APIException

    page = "<html><head><title>502 Bad Gateway</title></head><body>" + "x" * 500 + "</body></html>"
    assert Failure(APIException(page, 400), "x", account).text == "502 Bad Gateway"
    given_up = RuntimeError("HTTPSConnectionPool: Max retries exceeded (too many 500 error responses)")
    assert (Failure(given_up, "x", account).status, Failure(given_up, "x", account).text) == (500, "")


def test_a_pause_of_nothing_ends(hub: StandIn, tmp_path: Path, waits: list[float]) -> None:
    hub.set_faults(Faults(retry_after=0, statuses=(StatusFault(429),)))
    with pytest.raises(HubServiceError, match="asks for fewer requests"):
        HubService.open(tmp_path / "cache", Console())
    assert set(waits) == {1.0}
    assert len(waits) < 40


def test_an_empty_answer_is_no_account(service: HubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    monkeypatch.setattr(service._api.client, "get_devices", list)
    service._devices = None
    with pytest.raises(HubServiceError, match="lists no devices"):
        service.devices()

    class Empty:
        status_code, headers, content = 200, {"Content-Type": "application/x-protobuf"}, b""

    monkeypatch.setattr(requests, "get", lambda *_, **__: Empty())
    with pytest.raises(HubServiceError, match="doesn't answer as AI Hub does"):
        HubService.open(tmp_path / "other", Console())


def test_entries_of_the_journal_that_were_not_written_here(service: HubService, binary: Path) -> None:
    job = service.submit(work_on(service, binary))
    path = service.journal.folder / "jobs" / f"{job.key}.json"
    whole = json.loads(path.read_text("utf-8"))
    for other in ({"at": math.inf}, {"at": 1e300}, {"id": ""}, {"id": "../models/x"}, {"key": "../x"}):
        path.write_text(json.dumps({**whole, **other}), "utf-8")
        assert service.journal.job(job.key) is None
    path.write_text("[" * 100_000, "utf-8")
    assert service.journal.jobs() == []
    assert service.submit(work_on(service, binary)) == job  # by its name
    assert isinstance(service.journal.job(job.key), JobEntry)


def test_a_name_without_end_is_not_told_whole() -> None:
    with pytest.raises(HubDeviceError) as raised:
        find_device("x" * 10_000, [CloudDevice("A", "1", ("framework:qnn",))], Console())
    assert len(raised.value.what) < 200
