"""The virtual phone in front of the real adb client and server."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbutils
import pytest
from adb_host import FIVE_MB, TMP, AdbHost, PhoneOnAdb, answering, exchange, noise, started
from cli_here import CliHere
from conftest import Cli, json_document

from qnn_sd.config import load_profile
from qnn_sd.errors import VirtualPhoneError
from qnn_sd.virtual_phone import Faults, VirtualPhone, parse_faults

# What adb sees of it


def test_adb_lists_it_with_its_model_and_state(adb: AdbHost, phone: PhoneOnAdb) -> None:
    line = next(line for line in adb("devices", "-l").splitlines() if line.startswith(phone.address))
    assert line.split()[1] == "device"
    assert "product:qnnsd model:qnn_sd_virtual_phone device:qnnsd" in line
    assert phone.adb("get-state") == "device\n"
    features = phone.adb("features").split()
    assert {"shell_v2", "stat_v2", "ls_v2", "sendrecv_v2"} <= set(features)
    # What isn't there isn't announced.
    assert not {"cmd", "abb", "abb_exec", "delayed_ack", "sendrecv_v2_zstd"} & set(features)


def test_the_properties_are_the_profiles(phone: PhoneOnAdb) -> None:
    assert phone.device.getprop("ro.soc.model") == "SM8650"
    assert phone.device.getprop("ro.soc.manufacturer") == "QTI"
    assert phone.device.getprop("ro.product.cpu.abi") == "arm64-v8a"
    assert phone.device.prop.model == "qnn-sd virtual phone"
    assert phone.shell("getprop no.such.property") == "\n"
    assert "[ro.board.platform]: [pineapple]\n" in phone.shell("getprop")
    assert "Failed to set property" in phone.fails("shell", "setprop ro.soc.model SM1")


def test_readings_of_battery_heat_and_memory(phone: PhoneOnAdb) -> None:
    battery = phone.device.battery()
    assert (battery.level, battery.temperature) == (61, 31.5)
    assert phone.shell("cd /sys/class/power_supply/battery; cat capacity temp") == "61\n315\n"
    (phone.root / "sys/class/thermal/thermal_zone2/temp").write_text("48200\n")
    lines = phone.shell("cat /sys/class/thermal/thermal_zone*/type /sys/class/thermal/thermal_zone*/temp").split()
    assert dict(zip(lines[:4], lines[4:], strict=True))["nsphvx-0"] == "48200"
    assert int(phone.shell("grep MemTotal /proc/meminfo").split()[1]) > 0


def test_two_phones_at_once_and_devices_that_come_and_go(adb: AdbHost, phone: PhoneOnAdb, tmp_path: Path) -> None:
    events = adb.client.track_devices()

    def until(address: str, present: bool) -> None:
        while not any(event.serial == address and event.present == present for event in [next(events)]):
            pass

    until(phone.address, present=True)
    with started(adb, tmp_path, "sm8550", serial="second") as second:
        until(second.address, present=True)
        assert second.shell("getprop ro.soc.model; getprop ro.serialno") == "SM8550\nsecond\n"
        assert phone.shell("getprop ro.soc.model") == "SM8650\n"
        second.shell(f"echo mine > {TMP}/file")
        assert "No such file or directory" in phone.fails("shell", f"cat {TMP}/file")
        # Its owner ends it: adb hears of it with nobody calling.
        address = second.address
        second.phone.stop()
        until(address, present=False)


# Who is let in


def test_a_key_of_another_user_stays_unauthorized(phone: PhoneOnAdb, tmp_path: Path) -> None:
    stranger = AdbHost(tmp_path)
    try:
        assert "failed to authenticate" in stranger.bytes("connect", phone.address).stdout.decode()
        assert f"{phone.address}\tunauthorized" in stranger("devices")
        assert "device unauthorized" in stranger.fails("-s", phone.address, "shell", "id")
        assert "device unauthorized" in stranger.fails("-s", phone.address, "push", __file__, TMP)
    finally:
        stranger.close()


def test_nobody_is_let_in_and_nobody_is_answered_by_fault(adb: AdbHost, tmp_path: Path) -> None:
    with started(adb, tmp_path / "a", connect=False, faults=Faults(unauthorized=True)) as phone:
        adb.bytes("connect", phone.address)
        assert f"{phone.address}\tunauthorized" in adb("devices")
    with started(adb, tmp_path / "b", connect=False, faults=Faults(offline=True)) as phone:
        adb.bytes("connect", phone.address)
        assert f"{phone.address}\toffline" in adb("devices")


def test_without_a_key_it_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ADB_VENDOR_KEYS", raising=False)
    with pytest.raises(VirtualPhoneError) as refusal, VirtualPhone(load_profile("sm8650"), tmp_path / "phone"):
        pass
    assert "adb keygen" in refusal.value.hint
    assert not (tmp_path / "phone").exists()


@pytest.mark.parametrize("as_folder", [False, True])
def test_vendor_keys_are_the_users_too(
    adb: AdbHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_folder: bool
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    own = adb.home / ".android" / "adbkey"
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "mine.adb_key.pub").write_bytes(own.with_name("adbkey.pub").read_bytes())
    monkeypatch.setenv("ADB_VENDOR_KEYS", str(tmp_path / "keys" if as_folder else own))
    with VirtualPhone(load_profile("sm8650"), tmp_path / "phone") as phone:
        assert "connected to" in adb("connect", phone.address)
        assert adb("-s", phone.address, "shell", "id -un") == "shell\n"
        adb("disconnect", phone.address)


# The shell's streams


def test_shell_keeps_both_streams_apart_and_returns_the_exit_code(phone: PhoneOnAdb) -> None:
    done = phone.bytes("shell", "echo out; echo problem >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"problem\n")
    result = phone.device.shell2("echo out; false")
    assert (result.returncode, result.output) == (1, "out\n")
    # Without the protocol there is one stream and no code.
    assert phone.device.shell("echo out; echo problem >&2; exit 7") == "out\nproblem"


def test_shell_takes_stdin_to_its_end(phone: PhoneOnAdb) -> None:
    data = noise(300_000)
    done = phone.bytes("shell", "cat", stdin=data)
    assert done.stdout == data
    # A shell with no command reads them from stdin.
    done = phone.bytes("shell", stdin=b"cd /data/local/tmp\npwd\nfalse\necho $?\nnope\nexit 3\necho never\n")
    assert (done.returncode, done.stdout) == (3, b"/data/local/tmp\n1\n")
    assert done.stderr == b"/system/bin/sh: nope: inaccessible or not found\n"


def test_exec_out_is_clean(phone: PhoneOnAdb, folder: str) -> None:
    data = b"\r\n\n\0\xff" + noise(100_000)
    phone.bytes("shell", f"cat > {folder}/binary", stdin=data, check=True)
    assert phone.bytes("exec-out", f"cat {folder}/binary").stdout == data


def test_a_terminal_has_line_ends_of_its_own(phone: PhoneOnAdb) -> None:
    done = phone.bytes("shell", "-tt", "echo one; echo two >&2; exit 4")
    assert (done.returncode, done.stdout, done.stderr) == (4, b"one\r\ntwo\r\n", b"")


def test_many_streams_at_a_time(phone: PhoneOnAdb) -> None:
    with phone.device.shell("cat", stream=True) as waiting:
        assert phone.shell("echo beside") == "beside\n"
        waiting.conn.sendall(b"still there\n")
        assert waiting.read_exact(12) == b"still there\n"
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(phone.shell(f"echo {n}; pwd; echo {n} >&2")))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(f"{n}\n/\n" for n in range(12))


def test_a_shell_ends_when_its_stream_closes(adb: AdbHost, phone: PhoneOnAdb) -> None:
    before = set(threading.enumerate())
    waiting = adb.start("-s", phone.address, "shell", "echo $$; sleep 1000; cat", stdout=subprocess.PIPE)
    assert waiting.stdout is not None
    pid = waiting.stdout.readline().decode().strip()
    assert pid in phone.shell("pidof sh").split()
    waiting.kill()
    waiting.wait()
    waiting.stdout.close()
    for thread in set(threading.enumerate()) - before:
        thread.join()
    assert pid not in phone.shell("pidof sh").split()


# Sockets


def test_abstract_sockets_by_forward_and_directly(phone: PhoneOnAdb) -> None:
    data = noise(3_000_000)
    with answering(phone.phone.sockets / "qnn-sd-test"):
        port = int(phone.adb("forward", "tcp:0", "localabstract:qnn-sd-test"))
        with socket.create_connection(("127.0.0.1", port)) as connection:
            assert exchange(connection, data) == data.upper()
        phone.adb("forward", "--remove", f"tcp:{port}")
        with phone.device.create_connection(adbutils.Network.LOCAL_ABSTRACT, "qnn-sd-test") as direct:
            assert exchange(direct, data) == data.upper()
    for name in ("nobody", "../tmp/x", ".", ""):
        with pytest.raises(adbutils.AdbError):
            phone.device.create_connection(adbutils.Network.LOCAL_ABSTRACT, name)


def test_other_services_are_closed(phone: PhoneOnAdb) -> None:
    for arguments in (("reverse", "--list"), ("root",), ("reboot",), ("jdwp",)):
        phone.fails(*arguments)
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, pytest.raises(adbutils.AdbError):
        # The host's own ports aren't the phone's.
        phone.device.create_connection(adbutils.Network.TCP, listener.getsockname()[1])


# Faults


def test_a_phone_without_room(adb: AdbHost, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(noise(FIVE_MB))
    with started(adb, tmp_path / "phone", faults=Faults(free_space=2_048_000)) as phone:
        assert phone.shell(f"df -k {TMP}").split()[-6:-1] == ["/dev/block/data", "2000", "0", "2000", "0%"]
        assert "write failed: No space left on device" in phone.fails("push", str(tmp_path / "big"), TMP)
        # adbd removes what it couldn't finish; a shell doesn't.
        assert phone.shell(f"ls {TMP}") == ""
        done = phone.bytes("shell", f"cat > {TMP}/part", stdin=noise(FIVE_MB))
        assert done.returncode == 1
        assert b"No space left on device" in done.stderr
        assert phone.shell(f"stat -c %s {TMP}/part") == "2048000\n"
        assert "No space left on device" in phone.fails("shell", f"cp {TMP}/part {TMP}/copy")
        assert phone.shell(f"df -k {TMP}").split()[-3:-1] == ["0", "100%"]
        phone.shell(f"rm {TMP}/part {TMP}/copy; echo fits > {TMP}/small")


@pytest.mark.parametrize(("fault", "left"), [("disconnect", []), ("crash", ["big"])])
def test_a_cable_pulled_while_pushing(adb: AdbHost, tmp_path: Path, fault: str, left: list[str]) -> None:
    (tmp_path / "big").write_bytes(data := noise(FIVE_MB))
    with started(adb, tmp_path / "phone", faults=Faults(**{fault: 1_000_001})) as phone:
        phone.fails("push", str(tmp_path / "big"), f"{TMP}/big")
        # adb hears of the pulled cable before adbd has cleaned up.
        for thread in threading.enumerate():
            if thread.name == "adb sync:":
                thread.join()
        assert sorted(path.name for path in phone.tmp.iterdir()) == left
        if left:
            assert (phone.tmp / "big").read_bytes() == data[:1_000_001]
        # The cable is back, and breaks no more.
        adb("connect", phone.address)
        phone.adb("wait-for-device")
        phone.adb("push", str(tmp_path / "big"), f"{TMP}/big")
        assert (phone.tmp / "big").read_bytes() == data


def test_an_unknown_soc(adb: AdbHost, tmp_path: Path) -> None:
    with started(adb, tmp_path, faults=Faults(properties={"ro.soc.model": "SM9999"})) as phone:
        assert phone.shell("getprop ro.soc.model") == "SM9999\n"


def test_faults_are_read_from_the_command_line() -> None:
    typed = ("free-space=1000", "disconnect=2", "kill-worker=3", "offline")
    read = parse_faults(typed, ("ro.soc.model=SM9999", "ro.empty="))
    properties = {"ro.soc.model": "SM9999", "ro.empty": ""}
    assert read == Faults(free_space=1000, disconnect=2, kill_worker=3, offline=True, properties=properties)


# The command


@contextmanager
def command(cli: Cli, adb: AdbHost, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """``qnn-sd virtual-phone --json``, and its document."""
    process = subprocess.Popen(
        cli.command("virtual-phone", "--json", *arguments),
        env={**cli.environment, "HOME": str(adb.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr and process.stderr.read()
        yield process, json_document("".join(lines))
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_runs_a_phone_until_it_is_told_to_end(cli: Cli, adb: AdbHost, number: signal.Signals) -> None:
    with command(cli, adb, "--soc", "sm8550", "--property", "ro.soc.model=SM9999") as (process, told):
        adb("connect", told["device"])
        assert adb("-s", told["device"], "shell", "getprop ro.soc.model") == "SM9999\n"
        assert Path(told["files_folder"]).is_dir()
        assert (told["log_file"], told["pid"]) == (None, process.pid)
        process.send_signal(number)
        assert process.wait(60) == 0
        assert not Path(told["folder"]).exists()
        adb("disconnect", told["device"])


def test_a_root_that_is_given_is_kept_and_is_one_phones(cli: Cli, adb: AdbHost, tmp_path: Path) -> None:
    root = str(tmp_path / "kept")
    with command(cli, adb, "--root", root) as (process, told):
        adb("connect", told["device"])
        adb("-s", told["device"], "shell", f"echo stays > {TMP}/file")
        home = {"HOME": str(adb.home)}
        port = told["device"].partition(":")[2]
        assert "belongs to a virtual phone" in cli.refused(23, "virtual-phone", "--root", root, environment=home)
        assert "can't be had" in cli.refused(23, "virtual-phone", "--port", port, environment=home)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        adb("disconnect", told["device"])
    with command(cli, adb, "--root", root) as (_, told):
        adb("connect", told["device"])
        assert adb("-s", told["device"], "shell", f"cat {TMP}/file") == "stays\n"
        adb("disconnect", told["device"])


def test_bad_settings_are_refused(cli: Cli, cli_here: CliHere, adb: AdbHost) -> None:
    (cli.folder / "work").mkdir()
    (cli.folder / "work" / "thesis.txt").write_text("mine")
    for code, arguments in (
        (4, ("--soc", "sm8660")),
        (3, ("--fault", "free-spaces=1")),
        (3, ("--fault", "free-space")),
        (3, ("--fault", "unauthorized=1")),
        (3, ("--property", "ro.soc.model")),
        (3, ("--port", "70000")),
        (23, ("--root", "work")),
        (23, ("--root", "deep/" * 20)),
    ):
        # Once its folder is looked at, the command has a signal handler of its own.
        run = cli_here if code in (3, 4) else cli
        run.refused(code, "virtual-phone", *arguments, environment={"HOME": str(adb.home)})
    assert [path.name for path in (cli.folder / "work").iterdir()] == ["thesis.txt"]
