"""A phone that is lost in the middle: each cause has its own words and its own exit code."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from adb_host import AdbHost, started
from cli_here import CliHere
from conftest import json_document

from qnn_sd.config import load_profile
from qnn_sd.errors import (
    AdbServerError,
    DeviceBlockedError,
    DeviceError,
    DeviceReturnedError,
    QnnSdError,
    WorkerEndedError,
)
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.targets.adb.client import DeviceHistory, examine
from qnn_sd.virtual_phone import VirtualPhone, parse_faults

PROMPT = "a big green square on white"
USB = "R5CT1234ABC"


@pytest.fixture
def command(cli_here: CliHere, host: AdbHost, pipeline: BuildPipeline) -> CliHere:
    """The user's command; the bundle is there already."""
    pipeline.bundle(load_profile("sm8650"), TEXT_TO_IMAGE_COMPONENTS)
    cli_here.environment["HOME"] = str(host.home)
    return cli_here


# Code, what is said first, why, and what to do. Of a call: two of the text encoder, then one step and the decoder.
@pytest.mark.parametrize(
    ("fault", "code", "what", "why", "hint"),
    [
        ("disappear=call:5", 21, "went away in the middle of the run", "switched off", "type the same line again"),
        ("disappear=2000000", 21, "went away in the middle of the run", "switched off", "type the same line again"),
        ("flap=call:3", 27, "was interrupted for a moment", "It is there again", "Type the same line again"),
        ("revoke=call:3", 24, "became unauthorized in the middle", "unauthorized", "allow USB debugging"),
        ("freeze=call:3", 24, "became offline in the middle", "offline", "plug it in again"),
        ("kill=call:3", 26, "Android killed the worker", "SIGKILL, as processes do when memory", "Close other apps"),
        ("abort=load:2", 26, "The worker on", "It ended by SIGABRT", "doctor --phone"),
    ],
)
def test_each_loss_has_its_words_and_its_code(
    fault: str, code: int, what: str, why: str, hint: str, host: AdbHost, command: CliHere, tmp_path: Path
) -> None:
    with started(host, tmp_path / "phone", faults=parse_faults((fault,))) as phone:
        options = ["--steps", "1", "--count", "2", "--seed", "5", "--device", phone.address, "--json"]
        done = command("run", PROMPT, *options, "-o", str(tmp_path / "out.png"))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    error = json_document(done.stdout)["error"]
    assert error["code"] == code
    assert phone.address in error["what"]
    assert what in error["what"]
    assert why in error["why"]
    assert hint in error["next"]
    assert f"what was staged on {phone.address}" in error["kept"]
    images = sorted(tmp_path.glob("*.png"))
    assert len(images) == (fault == "disappear=call:5")
    for image in images:
        assert f"1 of 2 images ({image})" in error["kept"]


def test_an_adb_server_that_is_ended_is_named(
    host: AdbHost, command: CliHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    other = AdbHost(home)
    for name in ("HOME", "ANDROID_ADB_SERVER_PORT"):
        command.environment[name] = other.environment[name]
    monkeypatch.setattr(VirtualPhone, "disappear", lambda _phone: other("kill-server"))
    with started(other, tmp_path / "phone", faults=parse_faults(("disappear=call:3",))) as phone:
        message = command.refused(25, "run", PROMPT, "--steps", "1", "--device", phone.address)
    assert f"The adb server was ended while {phone.address} was in use" in message
    assert f"adb connect {phone.address}; then type the same line again" in message


def test_a_benchmark_keeps_what_it_measured(host: AdbHost, command: CliHere, tmp_path: Path) -> None:
    # A cold call, the one that isn't counted, and two rounds; then the second component begins.
    with started(host, tmp_path / "phone", faults=parse_faults(("disappear=call:5",))) as phone:
        options = ["--rounds", "2", "--cold", "1", "--device", phone.address, "--json"]
        done = command("bench", *options, "-o", str(tmp_path / "bench.json"))
    assert done.returncode == 21, done.stderr
    document = json_document(done.stdout)
    assert "went away" in document["error"]["what"]
    assert [each["component"] for each in document["results"]] == ["text_encoder"]
    # The file may leave this machine, and so names neither the phone nor a folder.
    kept, printed = json.loads((tmp_path / "bench.json").read_text()), json.loads(done.stdout)
    assert (kept["phone"].pop("device"), printed["phone"].pop("device")) == ("SERIAL", phone.address)
    assert kept.pop("error")["code"] == printed.pop("error")["code"]
    assert kept == printed


# What adb says of a phone, in order, after the connection broke


class Server:
    """The adb server's side of ``host:track-devices``."""

    def __init__(self) -> None:
        ours, self._theirs = socket.socketpair()
        self.history = DeviceHistory(lambda: ours)

    def says(self, *states: str) -> None:
        for state in states:
            text = f"{USB}\t{state}\n" if state != "absent" else ""
            self._theirs.sendall(f"{len(text):04x}{text}".encode())

    def end(self) -> None:
        self._theirs.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("qnn_sd.targets.adb.client.connection_errors._SETTLE_SECONDS", 0.3)
    made = Server()
    made.says("device")
    yield made
    made.end()


@pytest.mark.parametrize(
    ("states", "kind", "words"),
    [
        (["absent"], DeviceError, (f"{USB} went away", "unplugged, switched off or restarted", "Plug it in, and type")),
        (["offline"], DeviceBlockedError, ("became offline", "adb still lists it", "plug it in again, then type")),
        (["absent", "unauthorized"], DeviceBlockedError, ("became unauthorized", "says: unauthorized", "Unlock")),
        (["absent", "device"], DeviceReturnedError, ("for a moment", "device, absent, device", "Type the same line")),
    ],
)
def test_a_phone_on_usb(states: list[str], kind: type[QnnSdError], words: tuple[str, ...], server: Server) -> None:
    server.says(*states)
    error = examine(USB, server.history)
    assert type(error) is kind
    for text, word in zip((error.what, error.why, error.hint), words, strict=True):
        assert word in text


def test_a_server_that_ended_comes_before_what_it_said(server: Server) -> None:
    server.says("absent")
    server.end()
    error = examine(USB, server.history)
    assert isinstance(error, AdbServerError)
    assert f"must list {USB}; then type the same line again" in error.hint


def test_a_phone_that_adb_never_lost_tells_how_its_program_ended(server: Server) -> None:
    ended = WorkerEndedError("The worker ended", hint="")
    assert examine(USB, server.history, lambda: ended) is ended
    assert examine(USB, server.history, notice_seconds=0.1) is None


def test_a_loss_that_was_told_is_not_told_again(server: Server) -> None:
    server.says("absent", "device")
    assert isinstance(examine(USB, server.history), DeviceReturnedError)
    assert examine(USB, server.history, notice_seconds=0.1) is None
