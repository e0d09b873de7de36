"""Uploads, jobs and their ends at AI Hub: nothing twice, nothing lost, and every failure says what to do."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from qnn_sd.ai_hub import (
    CloudDevice,
    CompileWork,
    HubJob,
    HubModel,
    HubService,
    InferenceWork,
    ProfileWork,
    journal,
    uploads,
    waiting,
)
from qnn_sd.ai_hub.failures import explain
from qnn_sd.ai_hub.job_logs import excerpt
from qnn_sd.ai_hub.profile_result import profile_of_json
from qnn_sd.ai_hub.work import job_name
from qnn_sd.console import Console
from qnn_sd.errors import (
    HubDeadlineError,
    HubDeviceError,
    HubJobError,
    HubServiceError,
    QnnSdError,
)
from qnn_sd.hub_stand_in import Faults, JobFailure, Slow, StandIn, StatusFault, Stuck

DEVICE = "Samsung Galaxy S24"
BINARY = ROOT / "tests" / "data" / "qairt-2.48.bin"
# Jobs that fail at once cost nothing: what is tested is how they are found.
FAILING = (JobFailure("", 2001),)
STUCK = (Stuck(""),)


@pytest.fixture(autouse=True)
def deprecations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the client is about to drop is an error here; it only prints so."""
    from qai_hub import client

    def refuse(message: str) -> None:
        raise AssertionError(message)

    monkeypatch.setattr(client, "_print_deprecation_message", refuse)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No pause is made: ours, and those of the client between two tries."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(folder: Path) -> HubService:
    return HubService.open(folder, Console())


def token_of(hub: StandIn) -> str:
    return hub.client_ini.read_text("utf-8").partition("api_token = ")[2].split()[0]


@pytest.fixture
def service(hub: StandIn, folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[HubService]:
    """An account; whatever a test does with it, stdout stays empty and the token is in no file of the cache."""
    yield opened(folder)
    assert capsys.readouterr().out == ""
    for path in folder.rglob("*"):
        assert token_of(hub) not in f"{path}{path.read_text('utf-8') if path.is_file() else ''}"


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "unet.bin"
    path.write_bytes(np.random.default_rng(1).bytes(300_000))
    return path


def work_on(service: HubService, model: HubModel, options: str = "") -> ProfileWork:
    return ProfileWork(model, service.find_device(DEVICE), options, "unet")


def journal_files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"ai-hub/*/{kind}/*.json"))


# Uploads.


def test_a_model_is_uploaded_once_by_content(hub: StandIn, service: HubService, binary: Path, folder: Path) -> None:
    first = service.upload(binary, "unet")
    sent = hub.counts.bytes_uploaded
    assert sent == binary.stat().st_size
    copy = binary.with_name("copy.bin")
    copy.write_bytes(binary.read_bytes())
    assert service.upload(copy, "unet") == first
    # Without the journal the account is asked, by the hash in the name.
    for path in journal_files(folder, "uploads"):
        path.unlink()
    assert service.upload(binary, "unet") == first
    assert (hub.counts.models_created, hub.counts.bytes_uploaded) == (1, sent)
    binary.write_bytes(b"other")
    assert service.upload(binary, "unet").id != first.id
    assert hub.counts.models_created == 2


def test_a_model_that_is_gone_is_uploaded_anew(hub: StandIn, service: HubService, binary: Path, folder: Path) -> None:
    service.upload(binary, "unet")
    path = journal_files(folder, "uploads")[0]
    entry = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**entry, "id": "m0gone"}), "utf-8")
    (renamed := binary.with_name("other.bin")).write_bytes(binary.read_bytes())
    assert service.upload(renamed, "text_encoder").id != "m0gone"
    assert hub.counts.models_created == 2  # of another name


def test_a_killed_upload_s_zip_goes_with_the_next_one(
    hub: StandIn, service: HubService, binary: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = binary.parent / "network"
    source.mkdir()
    (source / "model.onnx").write_bytes(binary.read_bytes())
    left: list[Path] = []

    def killed(archive: Path, *_: object) -> str:
        left.append(archive.with_name("left.zip"))
        left[0].write_bytes(archive.read_bytes())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(uploads.Uploads, "_send_once", lambda _self, *given: killed(*given))
        # SIGKILL lets nobody clean up.
        patch.setattr(journal.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            service.upload(source, "unet")
    assert left[0].is_file()
    assert left[0].is_relative_to(folder)
    service.upload(source, "unet")
    assert not list(folder.rglob("*.zip"))
    assert hub.counts.models_created == 1


def test_a_dropped_upload_goes_on_as_the_same_model(hub: StandIn, service: HubService, binary: Path) -> None:
    # The client tries a part seven times.
    hub.set_faults(Faults(dropped_uploads=10))
    service.upload(binary, "unet")
    assert hub.counts.models_created == 1
    hub.set_faults(Faults())
    assert service.upload(binary, "unet")
    assert hub.counts.models_created == 1


def test_an_upload_that_never_arrives_is_told_and_goes_on_later(
    hub: StandIn, service: HubService, binary: Path, folder: Path
) -> None:
    hub.set_faults(Faults(dropped_uploads=1000))
    with pytest.raises(HubServiceError, match=r"Can't upload unet to AI Hub: 127\.0\.0\.1:.* the connection was lost"):
        service.upload(binary, "unet")
    assert json.loads(journal_files(folder, "uploads")[0].read_text("utf-8"))["id"] is None
    hub.set_faults(Faults())
    service.upload(binary, "unet")
    assert hub.counts.models_created == 1


def test_an_answer_without_etag_is_a_proxys_doing(hub: StandIn, service: HubService, binary: Path) -> None:
    hub.set_faults(Faults(no_etag=True))
    with pytest.raises(HubServiceError, match="has no ETag") as raised:
        service.upload(binary, "unet")
    assert "proxy" in raised.value.why


def test_a_model_over_the_services_limit(hub: StandIn, service: HubService, binary: Path) -> None:
    hub.set_faults(Faults(largest_model=1000))
    with pytest.raises(HubServiceError, match="Can't upload unet to AI Hub: it is larger than AI Hub takes"):
        service.upload(binary, "unet")
    with binary.open("wb") as file:
        file.truncate(10_000_000_001)  # sparse
    requests = hub.counts.requested("POST")
    with pytest.raises(HubServiceError, match="unet is too large for AI Hub: 10 GB"):
        service.upload(binary, "unet")
    assert hub.counts.requested("POST") == requests


def test_inputs_are_uploaded_once_and_again_when_they_have_expired(
    hub: StandIn, service: HubService, binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.set_faults(Faults(failures=FAILING))
    model, device = service.upload(binary, "unet"), service.find_device(DEVICE)
    inputs = {"x": [np.full((1, 3), at, np.float32) for at in range(2)]}
    for options in ("", "--max_profiler_iterations 5"):
        service.submit(InferenceWork(model, device, inputs, options, "unet"))
    assert (hub.counts.datasets_created, hub.counts.jobs["inference"]) == (1, 2)
    from qai_hub.client import Dataset

    monkeypatch.setattr(Dataset, "is_expired", lambda self: True)  # noqa: ARG005
    other = {"x": [np.copy(each) for each in inputs["x"]]}
    with pytest.raises(HubServiceError, match="expired"):
        # All are expired now, the new one too; that it was sent is what counts.
        service.submit(InferenceWork(model, device, other, "--third", "unet"))
    assert hub.counts.datasets_created == 2


def test_outputs_that_are_no_longer_kept_are_made_again(
    hub: StandIn, service: HubService, binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.set_faults(Faults(stuck=STUCK))
    model, device = service.upload(binary, "unet"), service.find_device(DEVICE)
    work = InferenceWork(model, device, {"x": [np.zeros((1, 3), np.float32)]}, "", "unet")
    jobs = [service.submit(each) for each in (work, work_on(service, model))]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 29.5 * 24 * 3600)
    assert service.submit(work).id != jobs[0].id
    assert service.submit(work_on(service, model)) == jobs[1]  # a profile is kept


# Submissions.


def test_the_same_work_is_submitted_once(hub: StandIn, service: HubService, binary: Path, folder: Path) -> None:
    hub.set_faults(Faults(stuck=STUCK))
    work = work_on(service, service.upload(binary, "unet"))
    job = service.submit(work)
    assert job == HubJob(job.id, "profile", "unet", DEVICE, f"{hub.url}/jobs/{job.id}/", work.key)
    assert opened(folder).submit(work) == job
    assert hub.counts.job_names == [job_name(work)] == [f"qnn-sd unet {work.key[:16]}"]
    # Other options, devices and contents are other work.
    service.submit(replace(work, options="--max_profiler_iterations 5"))
    service.submit(replace(work, device=service.find_device("Samsung Galaxy S23")))
    assert hub.counts.jobs == {"profile": 3}
    assert [each.id for each in service.jobs()][-1] == job.id


def test_a_job_is_found_by_name_beyond_the_first_page(
    hub: StandIn, service: HubService, binary: Path, folder: Path
) -> None:
    hub.set_faults(Faults(stuck=STUCK))
    model = service.upload(binary, "unet")
    job = service.submit(work_on(service, model))
    client = service._api.client
    from qai_hub import Device

    uploaded = client.get_model(model.id)
    for at in range(60):
        client.submit_inference_job(uploaded, Device(DEVICE), name=f"another {at}", profile=True)
    path = journal_files(folder, "jobs")[0]
    for entry in (None, {**json.loads(path.read_text("utf-8")), "id": None}):
        path.unlink(missing_ok=True)
        if entry is not None:
            path.write_text(json.dumps(entry), "utf-8")
        assert opened(folder).submit(work_on(service, model)).id == job.id
    assert hub.counts.job_names.count(job_name(work_on(service, model))) == 1


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from qnn_sd.ai_hub import HubService, ProfileWork
    from qnn_sd.ai_hub.journal import JobEntry, Journal
    from qnn_sd.console import Console

    written = Journal.write

    def write(self, entry):
        if isinstance(entry, JobEntry) and entry.id is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        written(self, entry)

    Journal.write = write
    service = HubService.open(Path(sys.argv[1]), Console())
    model = service.upload(Path(sys.argv[2]), "unet")
    service.submit(ProfileWork(model, service.find_device(sys.argv[3]), "", "unet"))
"""


def test_killed_right_after_the_submission_the_next_run_finds_the_job(
    hub: StandIn, service: HubService, binary: Path, folder: Path
) -> None:
    hub.set_faults(Faults(stuck=STUCK))
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder), str(binary), DEVICE]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert hub.counts.jobs == {"profile": 1}
    assert json.loads(journal_files(folder, "jobs")[0].read_text("utf-8"))["id"] is None
    service.submit(work_on(service, service.upload(binary, "unet")))
    assert (hub.counts.jobs, hub.counts.models_created) == ({"profile": 1}, 1)
    assert json.loads(journal_files(folder, "jobs")[0].read_text("utf-8"))["id"]


@pytest.mark.parametrize("fault", [Faults(stuck=STUCK, lost_answers=1), Faults(stuck=STUCK, late_errors=1)])
def test_a_request_that_the_client_repeats_makes_two_jobs_of_which_the_first_counts(
    hub: StandIn, service: HubService, binary: Path, fault: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    model = service.upload(binary, "unet")
    hub.set_faults(fault)
    job = service.submit(work_on(service, model))
    assert hub.counts.jobs == {"profile": 2}
    assert job.id == service._api.client.get_job_summaries()[-1].job_id  # the newest is the first there
    assert f"AI Hub took the request more than once; {job.id} is used" in capsys.readouterr().err.replace("\n", " ")
    assert service.submit(work_on(service, model)) == job


def test_an_answer_that_never_comes_is_looked_for(hub: StandIn, service: HubService, binary: Path) -> None:
    model = service.upload(binary, "unet")
    hub.set_faults(Faults(stuck=STUCK, late_errors=100))
    job = service.submit(work_on(service, model))
    assert job.id
    jobs = hub.counts.jobs["profile"]
    assert opened_again(service).submit(work_on(service, model)) == job
    assert hub.counts.jobs["profile"] == jobs


def opened_again(service: HubService) -> HubService:
    return opened(service.journal.folder.parents[1])


def test_two_at_once_submit_one_job(
    hub: StandIn, service: HubService, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.set_faults(Faults(stuck=STUCK))
    work = work_on(service, service.upload(binary, "unet"))
    found: list[HubJob] = []
    with service.journal.held(work.key, "unet", Console()):
        other = threading.Thread(target=lambda: found.append(opened_again(service).submit(work)))
        other.start()
        other.join(0.5)
        assert other.is_alive()
        assert hub.counts.jobs == {}
    other.join()
    assert service.submit(work) == found[0]
    assert hub.counts.jobs == {"profile": 1}
    assert f"another qnn-sd is at unet on {DEVICE}: waiting for it" in capsys.readouterr().err.replace("\n", " ")


def test_a_job_that_failed_before_is_submitted_again(hub: StandIn, service: HubService, binary: Path) -> None:
    hub.set_faults(Faults(failures=(JobFailure("", 21000, times=1),)))
    work = work_on(service, service.upload(binary, "unet"))
    job = service.submit(work)
    with pytest.raises(HubJobError, match="failure type 21000") as raised:
        service.wait([job], 60)
    assert "passes" in raised.value.why
    hub.set_faults(Faults(failures=FAILING))
    assert service.submit(work).id != job.id
    assert (hub.counts.jobs, hub.counts.models_created) == ({"profile": 2}, 1)


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (Faults(quota=0), HubServiceError, "quota is used up"),
        (Faults(retired=(DEVICE,)), HubDeviceError, "the device is gone"),
        (Faults(statuses=(StatusFault(503, "jobs/", method="POST"),)), HubServiceError, "error of its own, 503"),
        (Faults(statuses=(StatusFault(400, "jobs/", method="POST"),)), HubServiceError, "AI Hub answered 400"),
    ],
)
def test_what_stops_a_submission(
    hub: StandIn, service: HubService, binary: Path, fault: Faults, error: type[QnnSdError], said: str
) -> None:
    work = work_on(service, service.upload(binary, "unet"))
    hub.set_faults(fault)
    with pytest.raises(error) as raised:
        service.submit(work)
    assert said in f"{raised.value.what} {raised.value.why}"
    assert token_of(hub) not in "".join(traceback.format_exception(raised.value))
    hub.set_faults(Faults(stuck=STUCK))
    assert service.submit(work).id
    assert hub.counts.jobs == {"profile": 1}


def test_requests_for_patience_are_followed_and_not_for_ever(
    hub: StandIn, service: HubService, binary: Path, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    work = work_on(service, service.upload(binary, "unet"))
    post, account = StatusFault(429, "jobs/", method="POST", times=7), StatusFault(429, "users/auth", times=1)
    # The client itself tries seven times; then the pause is what the service asks for.
    hub.set_faults(Faults(stuck=STUCK, retry_after=11, statuses=(post, account)))
    assert service.submit(work).id
    assert waits[-1] == 11.0
    capsys.readouterr()
    for statuses, pauses in (
        ((replace(post, times=None), account), []),
        ((replace(post, times=None),), [5, 10, 20, 40, 60, 60, 60]),
    ):
        hub.set_faults(Faults(stuck=STUCK, retry_after=3600, statuses=statuses))
        with pytest.raises(HubServiceError, match="AI Hub asks for fewer requests"):
            service.submit(replace(work, options="--other"))
        assert re.findall(r"trying again in (\d+) s", capsys.readouterr().err) == list(map(str, pauses))


# Waiting, and how jobs end.


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (JobFailure("", 12001), "The device ran out of memory"),
        (JobFailure("", 13050), "The binary's QNN isn't that of the device's runtime"),
        (JobFailure("", 12000, "Job timed out after 8h"), "AI Hub's own time limit passed"),
        (JobFailure("", 3050, "error: 12:BQ is not supported on this SoC"), "no block quantization"),
    ],
)
def test_a_failed_job_is_explained_with_its_log_and_link(
    hub: StandIn, service: HubService, binary: Path, failure: JobFailure, said: str
) -> None:
    hub.set_faults(Faults(failures=(failure,)))
    job = service.submit(work_on(service, service.upload(binary, "unet")))
    with pytest.raises(HubJobError) as raised:
        service.wait([job], 60)
    assert raised.value.what == f"AI Hub's job {job.id}, unet on {DEVICE}, failed (failure type {failure.failure_type})"
    assert said in raised.value.why
    assert "From its log:\n" in raised.value.why
    assert failure.text in raised.value.why
    assert raised.value.hint.endswith(f"The job: {job.url}")
    assert service.journal.jobs()[0].state == "failed"


def test_a_job_that_never_ends_meets_our_deadline_and_stays(
    hub: StandIn, service: HubService, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.set_faults(Faults(stuck=STUCK))
    job = service.submit(work_on(service, service.upload(binary, "unet")))
    with pytest.raises(HubDeadlineError, match="A job hasn't ended at AI Hub within 1 s") as raised:
        service.wait([job], 0.5)
    assert f"unet on {DEVICE} ({job.id}): waiting for a device" in raised.value.why
    assert "qnn-sd hub resume" in raised.value.hint
    assert f"{job.id}): waiting for a device" in capsys.readouterr().err.replace("\n", " ")
    assert service.journal.jobs()[0].state == "submitted"
    # What a command says that is stopped now.
    assert service._console.kept.lines() == ["a job at AI Hub (qnn-sd hub resume goes on with it)"]
    service.expect([job, replace(job, id="jother")])
    assert service._console.kept.lines() == ["2 jobs at AI Hub (qnn-sd hub resume goes on with them)"]


def test_a_job_in_the_queue_is_said_once_where_no_rows_move(
    hub: StandIn, service: HubService, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.set_faults(Faults(stuck=(Stuck("", 1),)))
    job = service.submit(work_on(service, service.upload(binary, "unet")))
    with pytest.raises(HubDeadlineError):
        service.wait([job], 0.2)
    assert capsys.readouterr().err.replace("\n", " ").count(f"({job.id}): in the queue") == 1


def test_states_are_told_apart(
    hub: StandIn, service: HubService, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.set_faults(Faults(slow=(Slow(8),), failures=FAILING))
    job = service.submit(work_on(service, service.upload(binary, "unet")))
    with pytest.raises(HubJobError):
        service.wait([job], 60)
    said = capsys.readouterr().err.replace("\n", " ")
    order = [said.index(word) for word in ("waiting for a device", "measuring on the device", ": failed")]
    assert order == sorted(order)


def test_a_connection_that_is_away_for_a_while_ends_no_wait(
    hub: StandIn,
    service: HubService,
    binary: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.set_faults(Faults(failures=FAILING))
    job = service.submit(work_on(service, service.upload(binary, "unet")))
    monkeypatch.setattr(waiting, "_REMINDER_SECONDS", 0.0)
    hub.set_faults(Faults(failures=FAILING, statuses=(StatusFault(502, "jobs", times=20),)))
    with pytest.raises(HubJobError):
        service.wait([job], 60)
    said = capsys.readouterr().err.replace("\n", " ")
    assert said.count("AI Hub doesn't answer just now: it is asked again for up to 10 min") == 1
    assert "AI Hub still doesn't answer, for " in said


def test_a_stand_in_that_is_gone_ends_the_wait_at_once(service: HubService, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(service._api.config, "api_url", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(HubServiceError, match="the stand-in for AI Hub isn't running") as raised:
            service.wait([HubJob("j1", "profile", "unet", DEVICE, "", "k")], 60)
    assert f"qnn-sd hub stand-in --folder {service.account_file.parent};" in raised.value.hint


# Results. These jobs run, on the emulator.


def test_a_profile_an_inference_and_their_results(hub: StandIn, service: HubService) -> None:
    device = service.find_device(DEVICE)
    model = service.upload(BINARY, "small")
    x = np.random.default_rng(0).standard_normal((1, 3, 6, 6), np.float32)
    jobs = [
        service.submit(ProfileWork(model, device, "--max_profiler_iterations 5", "small")),
        service.submit(InferenceWork(model, device, {"x": [x, x / 2]}, "--max_profiler_iterations 5", "small")),
    ]
    service.wait(jobs, 120)
    profile = service.profile(jobs[0])
    assert 0 < profile.best_ms <= profile.median_ms
    assert profile.layers == {"NPU": len(profile.ops)}
    outputs = service.outputs(jobs[1])
    assert {name: [each.shape for each in samples] for name, samples in outputs.items()} == {"y": [(1, 4, 6, 6)] * 2}
    assert not np.array_equal(*outputs["y"])
    with pytest.raises(HubServiceError, match="no outputs"):
        service.outputs(jobs[0])
    assert {each.state for each in service.journal.jobs()} == {"done"}
    assert hub.counts.jobs == {"profile": 1, "inference": 1}
    assert opened_again(service).submit(ProfileWork(model, device, "--max_profiler_iterations 5", "small")) == jobs[0]


def test_a_download_that_is_cut_leaves_no_half_file(hub: StandIn, service: HubService, tmp_path: Path) -> None:
    device, model = service.find_device(DEVICE), service.upload(BINARY, "small")
    job = service.submit(CompileWork(model, device, "", "small", {}))  # embeds the binary in an ONNX model
    service.wait([job], 120)
    hub.set_faults(Faults(dropped_downloads=1000))
    with pytest.raises(HubServiceError, match="Can't download small from AI Hub"):
        service.download_model(job, tmp_path / "to" / "small")
    assert list((tmp_path / "to").iterdir()) == []
    hub.set_faults(Faults(dropped_downloads=2))
    arrived = service.download_model(job, tmp_path / "to" / "small")
    assert arrived == tmp_path / "to" / "small.onnx.zip"
    assert arrived.stat().st_size > BINARY.stat().st_size
    assert list((tmp_path / "to").iterdir()) == [arrived]


# Pure functions.


@pytest.mark.parametrize(
    ("number", "log", "said"),
    [
        (1000, "", "AI Hub's own fault"),
        (1001, "Internal compiler error", "report the job's link"),
        (2004, "", "The cloud's machine ran out of memory"),
        (12001, "", "The device ran out of memory"),
        (12102, "", "limits how many jobs run at once"),
        (13002, "", "damaged or incomplete"),
        (13003, "", "isn't valid"),
        (13999, "", "fault in what was sent"),
        (13051, "", "--qairt_version"),
        (21000, "", "it passes"),
        (29999, "", "something that passes"),
        (0, "", "no type of failure"),
        (3050, "QAIRT quantizer failed with exit code 1", "doesn't take this precision"),
        (3050, "QAIRT quantizer failed with exit code 14", "context binary generator"),
        (3050, "OpConfig validation failed 0xc26", "0xc26"),
        (13003, "Must use --truncate_64bit_io", "int32"),
        (2000, "Using newer context binary on old SDK", "newer QAIRT"),
    ],
)
def test_failure_types_and_known_lines(number: int, log: str, said: str) -> None:
    known = explain(number, log)
    assert said in f"{known.why} {known.hint}"


def test_every_failure_type_of_the_client_has_an_explanation_of_its_own_or_its_range() -> None:
    from qai_hub import public_api_pb2 as messages

    numbers = [each for each in messages.JobFailureType.values() if each > 1]
    assert len(numbers) > 20
    assert all(explain(each, "").why != explain(0, "").why for each in numbers)


def test_the_log_excerpt_is_what_tells() -> None:
    log = "\n".join([*(f"loading {at}" for at in range(100)), "Error: op Conv\x1b[31m refused", "bye"])
    assert excerpt(log) == ["Error: op Conv?[31m refused"]
    assert excerpt("a\n\nb\n") == ["a", "b"]
    assert excerpt("") == []


def test_profiles_of_every_form_are_read() -> None:
    layers = [
        {"name": "a", "type": "Conv", "compute_unit": "NPU", "execution_time": 10, "execution_cycles": 5},
        {"name": "b", "type": "Add", "compute_unit": "CPU"},
        {"name": "c", "type": "Conv", "compute_unit": "NPU", "execution_time": 90},
        {"name": "d", "type": "Mul", "compute_unit": "NPU", "execution_time": 0, "execution_cycles": 900},
    ]
    whole = profile_of_json(
        {
            "execution_summary": {
                "estimated_inference_time": 2000,
                "all_inference_times": [2500, 2000, 9000],
                "first_load_time": 0,
                "warm_load_time": 5000,
                "inference_memory_peak_range": (1, 7),
                "estimated_inference_peak_memory": 3,
            },
            "execution_detail": layers,
        }
    )
    assert (whole.median_ms, whole.best_ms, whole.load_ms, whole.peak_bytes) == (2.5, 2.0, 5.0, 7)
    assert whole.layers == {"NPU": 3, "CPU": 1}
    assert [(each.name, each.ms) for each in whole.slowest(5)] == [("c", 0.09), ("a", 0.01), ("d", 0.0)]
    bare = profile_of_json({"execution_summary": {"estimated_inference_time": 2000, "first_load_time": None}})
    assert (bare.median_ms, bare.best_ms, bare.load_ms, bare.peak_bytes, bare.layers) == (2.0, 2.0, None, None, {})


def test_the_key_holds_all_that_decides() -> None:
    model, device = HubModel("m1", "ab" * 32, "unet"), CloudDevice("S24", "14", ())
    work = ProfileWork(model, device, "--a 1", "unet")
    assert replace(work, label="other", model=replace(model, id="m2"), options=" --a  1 ").key == work.key
    x = np.zeros((1, 2), np.float32)
    others = [
        replace(work, model=replace(model, sha256="cd" * 32)),
        replace(work, device=replace(device, os="15")),
        replace(work, options="--a 2"),
        InferenceWork(model, device, {"x": [x]}, "--a 1", "unet"),
        InferenceWork(model, device, {"x": [x, x]}, "--a 1", "unet"),
        InferenceWork(model, device, {"y": [x]}, "--a 1", "unet"),
        InferenceWork(model, device, {"x": [x.astype(np.float16)]}, "--a 1", "unet"),
        InferenceWork(model, device, {"x": [x.reshape(2, 1)]}, "--a 1", "unet"),
        InferenceWork(model, device, {"x": [x + 1]}, "--a 1", "unet"),
        CompileWork(model, device, "--a 1", "unet", {}),
        CompileWork(model, device, "--a 1", "unet", {"x": ((1, 2), "int32")}),
    ]
    assert len({each.key for each in (work, *others)}) == len(others) + 1
