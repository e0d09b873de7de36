"""Virtual phones in the background, and commands that wait for a phone that is just coming."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from adb_host import AdbHost, free_port, user
from conftest import Cli

from qnn_sd import announced_phones
from qnn_sd.announced_phones import AnnouncedPhone
from qnn_sd.errors import DeviceError
from qnn_sd.targets.adb.client import Adb, AdbDevice, choose_phone

LOCAL = "127.0.0.1:5755"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of this process's user, whose adb server has the port 5999."""
    for name, value in (("HOME", str(tmp_path)), ("ANDROID_ADB_SERVER_PORT", "5999")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


@pytest.fixture
def command(cli: Cli, adb: AdbHost) -> Cli:
    return user(cli, adb)


def test_what_else_lies_among_the_announcements_is_not_waited_for(home: Path) -> None:
    folder = announced_phones.state_folder()
    folder.mkdir(parents=True)
    os.mkfifo(folder / "5.json")
    (folder / "6.json").mkdir()
    (folder / "7.json").write_text("no JSON")
    assert announced_phones.phones() == []


# In the background


def test_a_phone_in_the_background_is_there_until_it_is_stopped(command: Cli, adb: AdbHost) -> None:
    told = command.json("virtual-phone", "--detach", "--soc", "sm8550")
    try:
        assert adb("-s", told["device"], "shell", "getprop ro.soc.model") == "SM8550\n"
        assert os.getsid(told["pid"]) == told["pid"], "the terminal's end doesn't reach it"
        assert f"--device {told['device']}" in Path(told["log_file"]).read_text()
        port = told["device"].partition(":")[2]
        assert "can't be had" in command.refused(23, "virtual-phone", "--detach", "--port", port)
    finally:
        stopped = command.json("virtual-phone", "--stop", told["device"])
    assert stopped["devices"] == [told["device"]]
    assert not Path(told["folder"]).exists()
    assert told["device"] not in adb("devices")
    assert "None runs" in command.refused(23, "virtual-phone", "--stop")


def test_one_that_was_killed_is_no_phone_any_more(command: Cli, adb: AdbHost) -> None:
    told = command.json("virtual-phone", "--detach")
    os.kill(told["pid"], signal.SIGKILL)
    assert "None runs" in command.refused(23, "virtual-phone", "--stop", told["device"])
    adb.bytes("disconnect", told["device"])


def test_what_stops_it_at_the_start_reaches_the_caller(command: Cli) -> None:
    assert "Unknown fault" in command.refused(3, "virtual-phone", "--detach", "--fault", "bad", "--json")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # What listens there isn't adb's server.
        threading.Thread(target=_hang_up, args=(listener,), daemon=True).start()
        elsewhere = {"ANDROID_ADB_SERVER_PORT": str(listener.getsockname()[1])}
        message = command.refused(25, "virtual-phone", "--detach", environment=elsewhere)
    assert "The adb server doesn't answer" in message


def _hang_up(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            listener.accept()[0].close()


def test_a_command_that_is_typed_at_once_waits_for_it(command: Cli, adb: AdbHost) -> None:
    address = f"127.0.0.1:{free_port()}"
    with command.start("unstage", "--device", address) as process:
        assert process.stderr is not None
        # Which of two processes is faster is chance: the phone starts as soon as the command waits.
        said = process.stderr.readline()
        with command.start("virtual-phone", "--connect", "--port", address.partition(":")[2]) as phone:
            said += process.communicate(timeout=120)[1]
            phone.terminate()
            phone.communicate(timeout=60)
    assert process.returncode == 0, said
    assert said.count(f"waiting for {address}") == 1


# How long to wait


class Listing:
    """An adb server that lists one thing after the other."""

    def __init__(self, *listings: Sequence[tuple[str, str]]) -> None:
        self.listings, self.asked = list(listings), 0

    def devices(self) -> list[AdbDevice]:
        self.asked += 1
        listing = self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]
        return [AdbDevice(*each) for each in listing]

    def phone(self, serial: str) -> str:
        return serial


def chosen(listing: Listing, serial: str | None, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str], float]:
    """The phone, what was said, and the seconds that were waited."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    said: list[str] = []
    try:
        phone: Any = choose_phone(cast(Adb, listing), serial, said.append)
    except DeviceError as error:
        phone = error
    return phone, said, now[0]


@pytest.mark.parametrize(
    ("listings", "serial"),
    [
        ([[("R5", "offline")], [("R5", "authorizing")], [("R5", "device")]], "R5"),
        ([[("R5", "connecting")], [("R5", "device")]], None),
        ([[], [], [(LOCAL, "offline")], [(LOCAL, "device")]], LOCAL),
        ([[], [("emulator-5554", "device")]], "emulator-5554"),
    ],
)
def test_a_phone_on_its_way_is_waited_for(
    listings: list[list[tuple[str, str]]], serial: str | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, said, _seconds = chosen(Listing(*listings), serial, monkeypatch)
    assert phone == listings[-1][0][0]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("listing", "serial", "most"),
    [
        ([], "R5CT1234ABC", 0),
        ([], "192.168.1.5:5555", 0),
        ([], None, 0),
        ([("R5", "unauthorized")], "R5", 0),
        ([], LOCAL, 5.2),
        ([("R5", "offline")], "R5", 5.2),
    ],
)
def test_one_that_is_not_coming_is_refused(
    listing: list[tuple[str, str]], serial: str | None, most: float, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, said, seconds = chosen(Listing(listing), serial, monkeypatch)
    assert isinstance(error, DeviceError)
    assert len(said) == bool(most)
    assert most - 0.3 <= seconds <= most


@pytest.mark.parametrize("serial", [LOCAL, None])
def test_a_phone_that_announced_itself_is_waited_for(
    serial: str | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listings = [*[[] for _attempt in range(400)], [(LOCAL, "device")]]
    about = AnnouncedPhone(os.getpid(), LOCAL, "sm8650", 5999)
    with announced_phones.announced(about):
        phone, said, seconds = chosen(Listing(*listings), serial, monkeypatch)
        assert phone == LOCAL
        assert said == [f"waiting for {serial or 'the virtual phone that is starting'}"]
        assert seconds > 30
        # Another adb server's is none of ours.
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "6000")
        assert isinstance(chosen(Listing([]), serial, monkeypatch)[0], DeviceError)


def test_what_a_killed_process_left_is_removed(home: Path) -> None:
    script = (
        "import os, signal\n"
        "from qnn_sd.announced_phones import *\n"
        "with announced(AnnouncedPhone(os.getpid(), '127.0.0.1:1', 'sm8650', 5999)):\n"
        "    assert len(phones()) == 1\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list(announced_phones.state_folder().glob("*.json"))) == 1
    assert announced_phones.phones() == []
    assert not list(announced_phones.state_folder().glob("*.json"))
