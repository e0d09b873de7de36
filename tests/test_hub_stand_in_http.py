"""The stand-in for AI Hub's uploads, downloads and refusals, and its command."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests
from ai_hub_helpers import DEVICE, client_of
from conftest import ROOT, Cli, json_document
from qai_hub import public_api_pb2 as api
from qai_hub.api_utils import load_api_config_from_file
from qai_hub.client import Client, InternalError, Model, RateLimitedError, UserError
from qai_hub.public_rest_api import get_model_download_url

from qnn_sd.errors import SettingError
from qnn_sd.hub_stand_in import (
    Faults,
    JobFailure,
    Noise,
    Slow,
    StandIn,
    StatusFault,
    Stuck,
    Weakened,
    WrongModel,
    parse_faults,
)

PART = 1000


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """One whose uploads have several parts; the client's waits before it tries again take no time."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    with StandIn(tmp_path / "hub", part_bytes=PART) as stand_in:
        yield stand_in


@pytest.fixture
def client(hub: StandIn) -> Client:
    return client_of(hub)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "unet.bin"
    path.write_bytes(bytes(range(256)) * 10)
    return path


def upload(client: Client, file: Path) -> Model:
    return client.upload_model(str(file), name="unet")


def url_of(hub: StandIn, client: Client, model: Model) -> str:
    return str(get_model_download_url(client.config, model.model_id).url)


# Files


def test_an_upload_in_parts_comes_back_as_it_was(hub: StandIn, client: Client, file: Path, tmp_path: Path) -> None:
    model = upload(client, file)
    again = client.get_model(model.model_id).download(str(tmp_path / "again.bin"))
    assert Path(again).read_bytes() == file.read_bytes()
    assert hub.counts.requested("PUT") == 3
    assert (hub.counts.models_created, hub.counts.bytes_uploaded) == (1, 2560)


def test_a_part_that_is_cut_off_is_sent_again(hub: StandIn, client: Client, file: Path, tmp_path: Path) -> None:
    hub.set_faults(Faults(dropped_uploads=1))
    model = upload(client, file)
    assert hub.counts.requested("PUT") == 4
    assert 2560 < hub.counts.bytes_uploaded < 2560 + PART
    assert Path(model.download(str(tmp_path / "again.bin"))).read_bytes() == file.read_bytes()


def test_a_download_that_is_cut_off_can_go_on(hub: StandIn, client: Client, file: Path, tmp_path: Path) -> None:
    model = upload(client, file)
    hub.set_faults(Faults(dropped_downloads=1))
    assert Path(model.download(str(tmp_path / "again.bin"))).read_bytes() == file.read_bytes()
    assert hub.counts.requested("GET", "/storage/") == 2
    rest = requests.get(url_of(hub, client, model), headers={"Range": "bytes=1280-"}, timeout=10)
    assert (rest.status_code, rest.headers["Content-Range"]) == (206, "bytes 1280-2559/2560")
    assert rest.content == file.read_bytes()[1280:]
    assert requests.get(rest.url, headers={"Range": "bytes=2560-"}, timeout=10).status_code == 416


def test_an_upload_without_etags_ends_in_the_client(hub: StandIn, client: Client, file: Path) -> None:
    hub.set_faults(Faults(no_etag=True))
    with pytest.raises(AssertionError, match="ETag"):
        upload(client, file)


@pytest.mark.parametrize("etags", [["first"], ["first", '"0"'], ['"0"'], []], ids=["one", "no second", "other", "none"])
def test_parts_that_are_missing_are_not_put_together(hub: StandIn, client: Client, etags: list[str]) -> None:
    name = api.CreateUpdateResponse.FromString(post(hub, client, "models/", b"")).id
    parts = api.FileMultipartUploadURL.FromString(
        requests.get(
            f"{hub.url}/api/v1/models/{name}/multipart_upload/?file_size=1500", headers=auth(client), timeout=10
        ).content
    )
    first = requests.put(parts.urls[0], data=b"x" * PART, timeout=10).headers["ETag"]
    told = [first if each == "first" else each for each in etags]
    done = api.FileMultipartUploadComplete(upload_id=parts.upload_id, etags=told)
    assert b"art" in post(hub, client, f"models/{name}/multipart_upload/", done.SerializeToString(), 400)
    with pytest.raises(UserError, match="There is no file"):
        client.get_model(name).download("nowhere.bin")


def post(hub: StandIn, client: Client, path: str, content: bytes, status: int = 200) -> bytes:
    answer = requests.post(f"{hub.url}/api/v1/{path}", headers=auth(client), data=content, timeout=10)
    assert answer.status_code == status
    return answer.content


def test_a_model_over_the_limit_is_refused(hub: StandIn, client: Client, file: Path) -> None:
    hub.set_faults(Faults(largest_model=2000))
    with pytest.raises(UserError, match="too large"):
        upload(client, file)
    assert hub.counts.bytes_uploaded == 0


# Refusals


def auth(client: Client) -> dict[str, str]:
    return {"Authorization": f"token {client.config.api_token}"}


def test_a_wrong_token_or_none_is_refused(hub: StandIn, client: Client) -> None:
    assert requests.get(f"{hub.url}/api/v1/devices/", timeout=10).status_code == 401
    client.config.api_token = "wrong"
    with pytest.raises(UserError, match="Failed to authenticate"):
        client.get_devices()
    hub.set_faults(Faults(wrong_token=True))
    with pytest.raises(UserError, match="Failed to authenticate"):
        client_of(hub).get_devices()


def test_errors_of_the_service_pass_and_stay(hub: StandIn, client: Client) -> None:
    for status in (500, 429):
        hub.set_faults(Faults(statuses=(StatusFault(status, "devices", times=2),)))
        assert client.get_devices()
    assert hub.counts.requested("GET", "devices") == 6
    limited = Faults(statuses=(StatusFault(429, "devices"),), retry_after=7)
    hub.set_faults(limited)
    assert requests.get(f"{hub.url}/api/v1/devices/", timeout=10).headers["Retry-After"] == "7"
    hub.set_faults(Faults(statuses=(StatusFault(503, "devices"),)))
    with pytest.raises(InternalError, match="unavailable"):
        client.get_devices()
    hub.set_faults(Faults(statuses=(StatusFault(426),)))
    with pytest.raises(UserError):
        client.get_devices()


def test_a_device_may_be_gone_or_listed_and_not_to_be_had(hub: StandIn, client: Client, file: Path) -> None:
    model = upload(client, file)
    assert [each.os for each in client.get_devices(DEVICE.name)] == ["15", "14"]
    assert [each.os for each in client.get_devices(DEVICE.name, os="[13,15)")] == ["14"]
    assert client.get_devices(attributes=["chipset:qualcomm-qcs8550-proxy"])[0].name == "QCS8550 (Proxy)"
    for faults, listed in ((Faults(gone=(DEVICE.name,)), 0), (Faults(retired=(DEVICE.name,)), 2)):
        hub.set_faults(faults)
        assert len(client.get_devices(DEVICE.name)) == listed
        with pytest.raises(UserError, match="is not available"):
            client.submit_inference_job(model, DEVICE, profile=True)
    assert not hub.counts.jobs


@pytest.fixture
def model(hub: StandIn, client: Client, file: Path) -> Model:
    """One whose jobs are made and never run."""
    made = upload(client, file)
    hub.set_faults(Faults(stuck=(Stuck(""),)))
    return made


def test_a_quota_is_refused_as_too_many_requests(hub: StandIn, client: Client, model: Model) -> None:
    hub.set_faults(Faults(stuck=(Stuck(""),), quota=1))
    client.submit_inference_job(model, DEVICE, name="first", profile=True, retry=False)
    with pytest.raises(RateLimitedError, match="limit of 1 jobs"):
        client.submit_inference_job(model, DEVICE, name="second", profile=True, retry=False)
    assert hub.counts.job_names == ["first"]


@pytest.mark.parametrize("fault", ["lost_answers", "late_errors"])
def test_an_answer_that_is_lost_leaves_a_job_that_the_list_has(
    hub: StandIn, client: Client, model: Model, fault: str
) -> None:
    """The client sends its request again by itself, so there are two."""
    hub.set_faults(Faults(stuck=(Stuck(""),), **{fault: 1}))
    job = client.submit_inference_job(model, DEVICE, name="once", profile=True)
    found = client.get_job_summaries()
    assert [each.name for each in found] == ["once", "once"]
    assert found[0].job_id == job.job_id
    assert hub.counts.jobs == {"profile": 2}


# A stranger's requests


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/api/v1/jobs/", b"\xff\xff\xff", 400),
        ("POST", "/api/v1/jobs/", b"", 400),
        ("POST", "/api/v1/models/", b"\x0a\xff", 400),
        ("GET", "/api/v1/jobs/?offset=-1", b"", 400),
        ("GET", f"/api/v1/jobs/?limit={'9' * 5000}", b"", 400),
        ("GET", "/api/v1/models/..%2F..%2Ftoken/", b"", 404),
        ("GET", "/api/v1/models/m00000000/download/", b"", 404),
        ("GET", "/api/v1/jobs/j00000000/", b"", 404),
        ("GET", "/api/v1/jobs/j00000000/device_runs/latest/artifact_list/5/", b"", 404),
        ("DELETE", "/api/v1/models/", b"", 404),
        ("GET", "/storage/content/..%2F..%2Ftoken?signature=0", b"", 403),
        ("PUT", "/storage/part/m00000000/0", b"x", 403),
        ("GET", "/jobs/", b"", 404),
    ],
)
def test_what_makes_no_sense_is_refused(
    hub: StandIn, client: Client, method: str, path: str, content: bytes, status: int
) -> None:
    answer = requests.request(method, f"{hub.url}{path}", headers=auth(client), data=content, timeout=10)
    assert answer.status_code == status
    assert "Traceback" not in answer.text
    assert client.get_devices(DEVICE.name), "it goes on"


@pytest.mark.parametrize("length", ["99999999999999", "9" * 5000, "-1", "x"])
def test_a_body_that_is_said_to_be_huge_is_not_waited_for(hub: StandIn, client: Client, length: str) -> None:
    with socket.create_connection(("127.0.0.1", int(hub.url.rpartition(":")[2])), timeout=10) as connection:
        head = f"POST /api/v1/models/ HTTP/1.1\r\nAuthorization: token {client.config.api_token}\r\n"
        connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        assert re.match(rb"HTTP/1.0 41[13] ", connection.recv(1000))
    assert not hub.counts.models_created


def test_it_listens_on_loopback_alone(hub: StandIn) -> None:
    port = f"{int(hub.url.rpartition(':')[2]):04X}"
    rows = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert {local for local, _, state in rows if state == "0A" and local.endswith(f":{port}")} == {f"0100007F:{port}"}


def test_a_folder_is_one_stand_ins_and_nothing_elses(hub: StandIn, tmp_path: Path) -> None:
    assert hub.client_ini.stat().st_mode & 0o077 == 0
    with pytest.raises(SettingError, match="Another stand-in runs"):
        StandIn(tmp_path / "hub")
    with pytest.raises(SettingError, match="isn't free"):
        StandIn(tmp_path / "other", port=int(hub.url.rpartition(":")[2]))
    with StandIn(tmp_path / "other") as other:
        assert other.url != hub.url
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    with pytest.raises(SettingError, match="holds other files"):
        StandIn(tmp_path / "photos")


# The command


def test_faults_as_they_are_typed() -> None:
    typed = (
        *("noise=unet:30", "weaken=unet:h:0.5", "fail=vae:12001:no: more", "stuck=a", "slow=3", "slow=unet:1"),
        f"wrong-model=unet:{__file__}",
        *("status=500:jobs:2", "retry-after=5", "drop-upload=1", "no-etag", "quota=2", "qairt=2.49", "gone=Galaxy S24"),
    )
    assert parse_faults(typed) == Faults(
        noises=(Noise("unet", 30.0),),
        weakened=(Weakened("unet", "h", 0.5),),
        failures=(JobFailure("vae", 12001, "no: more"),),
        wrong_models=(WrongModel("unet", Path(__file__)),),
        stuck=(Stuck("a", 60),),
        slow=(Slow(3), Slow(1, "unet")),
        statuses=(StatusFault(500, "jobs", 2),),
        retry_after=5,
        dropped_uploads=1,
        no_etag=True,
        quota=2,
        qairt="2.49",
        gone=("Samsung Galaxy S24",),
    )


def test_the_page_lists_every_fault() -> None:
    with pytest.raises(SettingError) as refused:
        parse_faults(["none-such"])
    known = refused.value.hint.rpartition("Known: ")[2].rstrip(".").split(", ")
    page = (ROOT / "docs" / "hub-stand-in.md").read_text("utf-8").split("## Faults")[1]
    assert sorted(re.findall(r"^\| `([a-z-]+)[=`]", page, re.M)) == known


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("noise=unet", "noise=COMPONENT:DB"),
        ("noise=unet:nan", "noise=COMPONENT:DB"),
        ("weaken=unet:h:2", "weaken=COMPONENT:INPUT:SHARE"),
        ("fail=unet:7", "fail=COMPONENT:TYPE"),
        ("stuck=unet:7", "stuck=COMPONENT"),
        ("wrong-model=unet:nowhere.bin", "wrong-model=COMPONENT:FILE"),
        ("status=200", "status=CODE"),
        ("slow=unet:-1", "slow="),
        ("no-etag=1", "Write --fault no-etag."),
        ("quota", "quota=JOBS"),
        ("qairt=new", "qairt=RELEASE"),
        ("nose=unet:30", "Did you mean noise"),
    ],
)
def test_a_fault_that_is_not_possible_is_refused(text: str, hint: str) -> None:
    with pytest.raises(SettingError) as refused:
        parse_faults([text])
    assert hint in refused.value.hint


@pytest.mark.parametrize("name", ["gone", "retired"])
def test_a_fault_of_a_device_that_is_not_listed_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="lists no device 'Samsung Galaxy S42'") as refused:
        parse_faults([f"{name}=Samsung Galaxy S42"])
    assert "Samsung Galaxy S24" in refused.value.why


def test_the_command_serves_until_ctrl_c(cli: Cli, tmp_path: Path, file: Path) -> None:
    arguments = ("hub", "stand-in", "--folder", "kept", "--json", "--fault", "slow=1")
    process = subprocess.Popen(
        cli.command(*arguments), cwd=tmp_path, env=cli.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        lines = []
        while not lines or lines[-1] != b"}\n":
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr and process.stderr.read()
        told = json_document(b"".join(lines).decode())
        client = Client(load_api_config_from_file(told["client_ini"]))
        assert Path(told["client_ini"]).parent == Path(told["folder"]) == tmp_path / "kept"
        model = upload(client, file)
        assert told["faults"] == ["slow=1"]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert client.config.api_token not in (process.stderr.read().decode() if process.stderr else "")
    with StandIn(tmp_path / "kept") as again:
        assert again.url == told["url"]
        assert client.get_model(model.model_id).name == "unet"
