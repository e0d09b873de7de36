"""The phone path on virtual phones, behind the real adb: found, staged, run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adb_host import AdbHost, PhoneOnAdb, noise, started, user
from adb_proxy import one_phone_more
from cli_here import CliHere
from conftest import Cli, interrupt_at, json_document
from PIL import Image

from qnn_sd.config import load_profile
from qnn_sd.console import Console, Transfer
from qnn_sd.errors import DeviceError, StagingError, UnknownSocError
from qnn_sd.targets.adb.client import Adb, Phone, choose_phone, phone_info, profile_of
from qnn_sd.targets.adb.session.warm_worker import WorkerAddress
from qnn_sd.targets.adb.session.worker_session import MAIN
from qnn_sd.targets.adb.staging import MIN_FREE_BYTES, STAGING_FOLDER, FileSet, PieceAssembler, stage, unstage
from qnn_sd.targets.adb.worker.client import WorkerClient, WorkerError
from qnn_sd.targets.adb.worker.protocol import PROTOCOL
from qnn_sd.virtual_phone import Battery, Faults

PROMPT = "a red circle on a blue background"


@pytest.fixture
def running(host: AdbHost, tmp_path: Path) -> Iterator[PhoneOnAdb]:
    """The only phone there is."""
    with started(host, tmp_path / "phone", battery=Battery(level=61, temperature=31.5)) as phone:
        yield phone


@pytest.fixture
def command(cli: Cli, host: AdbHost) -> Cli:
    """As the user of ``host`` runs it."""
    return user(cli, host)


def files(tmp_path: Path, sizes: dict[str, int]) -> FileSet:
    """A set of files of noise."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number, (name, size) in enumerate(sizes.items()):
        (folder / name).write_bytes(noise(size + number)[number:])
    return FileSet("unet", {name: folder / name for name in sizes})


class Watched(Console):
    """A quiet console that does something once so many bytes were staged."""

    def __init__(self, at: int, act: Any) -> None:
        super().__init__(quiet=True)
        self._at, self._act = at, act

    @contextmanager
    def transfer(self, title: str, total: int | None, done: int = 0) -> Iterator[Transfer]:
        del title, total, done
        at, act = self._at, self._act

        class Acting(Transfer):
            def advance(self, count: int) -> None:
                before = self.moved
                super().advance(count)
                if before < at <= self.moved:
                    act()

        yield Acting()


QUIET = Console(quiet=True)

# Which phone


def test_without_a_name_the_only_phone_is_meant(running: PhoneOnAdb) -> None:
    assert choose_phone(Adb(), None).serial == running.address
    assert choose_phone(Adb(), running.address).serial == running.address


def test_what_a_phone_says_of_itself(running: PhoneOnAdb) -> None:
    found = phone_info(Adb().phone(running.address))
    assert (found.soc, found.profile, found.battery_percent, found.celsius) == ("SM8650", "sm8650", 61, 31.5)
    assert found.free_bytes > 0


def test_no_phone_says_so(host: AdbHost) -> None:
    with pytest.raises(DeviceError, match="There is no phone"):
        choose_phone(Adb(), None)
    with pytest.raises(DeviceError, match=r"There is no phone '127\.0\.0\.1:1'"):
        choose_phone(Adb(), "127.0.0.1:1")


def test_no_serial_is_suggested_for_another(host: AdbHost, running: PhoneOnAdb) -> None:
    """A serial that nearly fits is another phone."""
    with pytest.raises(DeviceError) as caught:
        choose_phone(Adb(), running.address[:-1])
    assert caught.value.why == f"adb lists {running.address}."
    assert "Did you mean" not in str(caught.value)


def test_two_phones_need_a_name(host: AdbHost, running: PhoneOnAdb, tmp_path: Path) -> None:
    with started(host, tmp_path / "second", "sm8550", serial="second") as second:
        with pytest.raises(DeviceError, match="several phones") as caught:
            choose_phone(Adb(), None)
        assert running.address in caught.value.why
        assert second.address in caught.value.why
        assert profile_of(choose_phone(Adb(), second.address), None).dl_mode == 1


def test_a_phone_that_nobody_allowed_is_told_apart(host: AdbHost, tmp_path: Path) -> None:
    with started(host, tmp_path / "phone", connect=False, faults=Faults(unauthorized=True)) as phone:
        host.bytes("connect", phone.address)
        with pytest.raises(DeviceError) as caught:
            choose_phone(Adb(), phone.address)
        assert "unauthorized" in caught.value.why
        assert "allow USB debugging" in caught.value.hint
        host.bytes("disconnect", phone.address)


def test_an_unknown_soc_is_named_and_another_can_be_given(host: AdbHost, tmp_path: Path) -> None:
    other = Faults(properties={"ro.soc.model": "SM9999"})
    with started(host, tmp_path / "phone", faults=other) as phone:
        handle = choose_phone(Adb(), phone.address)
        with pytest.raises(UnknownSocError) as caught:
            profile_of(handle, None)
        assert "SM9999" in caught.value.why
        assert "--soc" in caught.value.hint
        assert profile_of(handle, "sm8550") == load_profile("sm8550")


# Staging


def staged_content(phone: PhoneOnAdb, files: FileSet) -> dict[str, bytes]:
    """What stands under the files' names on the phone."""
    folder = phone.root / files.folder[1:]
    return {name: (folder / name).read_bytes() for name in files.files if (folder / name).exists()}


def test_a_second_staging_sends_nothing(running: PhoneOnAdb, tmp_path: Path) -> None:
    phone, wanted = Adb().phone(running.address), files(tmp_path, {"model.onnx": 1000, "model_qnn.bin": 3_000_000})
    assert stage(phone, [wanted], QUIET).sent_bytes == 3_001_000
    assert staged_content(running, wanted) == {name: path.read_bytes() for name, path in wanted.files.items()}
    again = stage(phone, [wanted], QUIET)
    assert (again.sent_bytes, again.kept_bytes) == (0, 3_001_000)


def test_a_file_that_changed_on_the_phone_is_sent_again_alone(running: PhoneOnAdb, tmp_path: Path) -> None:
    phone, wanted = Adb().phone(running.address), files(tmp_path, {"a.bin": 5000, "b.bin": 7000})
    stage(phone, [wanted], QUIET)
    running.shell(f"cd {wanted.folder} && echo damaged > a.bin")
    assert stage(phone, [wanted], QUIET).sent_bytes == 5000
    assert staged_content(running, wanted)["a.bin"] == wanted.files["a.bin"].read_bytes()


def test_a_pulled_cable_leaves_no_half_file_and_the_next_run_goes_on(running: PhoneOnAdb, tmp_path: Path) -> None:
    phone, wanted = Adb().phone(running.address), files(tmp_path, {"a.bin": 80_000_000})
    with pytest.raises(DeviceError, match="for a moment"):
        stage(phone, [wanted], Watched(70_000_000, running.phone.disconnect))
    assert staged_content(running, wanted) == {}
    # adb itself connects anew to a device in the network.
    running.adb("wait-for-device")
    arrived = int(running.shell(f"stat -c %s {wanted.folder}/a.bin.part"))
    assert 0 < arrived < 80_000_000
    done = stage(phone, [wanted], QUIET)
    assert (done.sent_bytes, done.kept_bytes) == (80_000_000 - arrived, arrived)
    assert staged_content(running, wanted)["a.bin"] == wanted.files["a.bin"].read_bytes()


def test_a_part_of_something_else_is_not_continued(running: PhoneOnAdb, tmp_path: Path) -> None:
    phone, wanted = Adb().phone(running.address), files(tmp_path, {"a.bin": 50_000})
    running.shell(f"mkdir -p {wanted.folder} && echo something else > {wanted.folder}/a.bin.part")
    assert stage(phone, [wanted], QUIET).sent_bytes == 50_000
    assert staged_content(running, wanted)["a.bin"] == wanted.files["a.bin"].read_bytes()


def test_a_phone_without_room_is_told_before_anything_is_sent(host: AdbHost, tmp_path: Path) -> None:
    with started(host, tmp_path / "phone", faults=Faults(free_space=MIN_FREE_BYTES + 1_000_000)) as phone:
        wanted = files(tmp_path, {"a.bin": 2_000_000})
        with pytest.raises(StagingError, match="too little free space"):
            stage(Adb().phone(phone.address), [wanted], QUIET)
        assert not (phone.root / STAGING_FOLDER[1:]).exists()


@pytest.mark.parametrize("name", ["../a.bin", "/a.bin", "a b", "a;reboot", "-rf", "a.bin.part", "staged", ""])
def test_a_name_that_means_more_than_a_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StagingError, match="can't be the name"):
        FileSet("unet", {name: tmp_path / "a"})


def test_unstage_leaves_what_is_in_use(running: PhoneOnAdb, tmp_path: Path) -> None:
    phone = Adb().phone(running.address)
    (tmp_path / "a").write_bytes(b"a")
    old, new = FileSet("unet", {"old.bin": tmp_path / "a"}), FileSet("unet", {"new.bin": tmp_path / "a"})
    stage(phone, [old, new], QUIET)
    running.shell(f"touch -d 2020-01-01T00:00:00 {old.folder}")
    assert unstage(phone, 30) == [old.folder]
    assert staged_content(running, new)
    assert unstage(phone, 0) == [new.folder]
    assert unstage(phone, 0) == []


# Images


# What is for sm8550 was compiled from the graphs that were verified for sm8650.
@pytest.mark.parametrize(("soc", "steps", "more"), [("sm8550", 1, ["--no-verify"]), ("sm8650", 2, [])])
def test_a_image_over_a_phone_is_the_emulators_to_the_bit(
    soc: str, steps: int, more: list[str], host: AdbHost, command: Cli, tmp_path: Path
) -> None:
    options = [PROMPT, "--seed", "5", "--steps", str(steps), "--json", *more]
    with started(host, tmp_path / "phone", soc) as phone:
        first, second = (
            json_document(command("run", *options, "--device", phone.address, "-o", f"{number}.png").stdout)
            for number in (1, 2)
        )
        assert phone.workers() == []
    json_document(command("run", *options, "--soc", soc, "-o", "emulator.png").stdout)
    images = [np.asarray(Image.open(command.folder / f"{name}.png")) for name in (1, 2, "emulator")]
    assert np.array_equal(images[0], images[2])
    assert np.array_equal(images[1], images[2])
    assert first["soc"] == soc
    assert first["fallbacks"] == []
    assert first["phone"]["staged_bytes"] > 1_000_000
    assert second["phone"]["staged_bytes"] == 0
    assert {(part["target"], part["unit"]) for part in first["components"].values()} == {(first["target"], "HTP")}
    assert [len(first["phone"]["compute"][name]["run_seconds"]) for name in ("text_encoder", "unet")] == [2, 2 * steps]


def test_the_table_names_the_phone_once_and_the_unit_of_each_component(
    host: AdbHost, command: Cli, refused_cache: Path, tmp_path: Path
) -> None:
    command.environment["COLUMNS"] = "80"
    with started(host, tmp_path / "phone") as phone:
        done = command("run", PROMPT, "--steps", "1", "--device", phone.address, "--cache", str(refused_cache))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1] == f"on adb:{phone.address}"
    assert done.stdout.count(phone.address) == 1
    assert lines[2].split()[:2] == ["component", "unit"]
    units = dict(line.split()[:2] for line in lines[3:6])
    assert units == {"text_encoder": "HTP", "unet": "CPU", "vae_decoder": "HTP"}
    assert f"warning: unet: adb:{phone.address} CPU (" in done.stderr


def test_what_the_worker_logged_of_a_failure_is_shown_with_debug(
    host: AdbHost, command: Cli, refused_cache: Path, tmp_path: Path
) -> None:
    with started(host, tmp_path / "phone") as phone:
        options = ["run", PROMPT, "--no-fallback", "--device", phone.address, "--cache", str(refused_cache)]
        message = command.refused(20, *options)
        debugged = command(*options, "--debug")
    assert "The worker's log:" not in message
    assert debugged.returncode == 20
    assert "Traceback" in debugged.stderr
    log = debugged.stderr.partition("The worker's log:\n")[2].partition("\nerror: ")[0]
    [why] = [line for line in debugged.stderr.splitlines() if line.startswith("  why: ")]
    # ONNX Runtime's own words, of which the message has the last line; it colours them.
    assert log.splitlines()[-1] == why.partition("Its log ends: ")[2]
    assert "\x1b" not in debugged.stderr
    assert debugged.stderr.splitlines()[-1] == message.splitlines()[-1]


def test_a_killed_worker_is_an_error_and_leaves_nothing(host: AdbHost, command: Cli, tmp_path: Path) -> None:
    with started(host, tmp_path / "phone", faults=Faults(kill_worker=20_000)) as phone:
        failed = command("run", PROMPT, "--steps", "3", "--device", phone.address)
        assert failed.returncode == 26, failed.stderr
        assert "Android killed the worker" in failed.stderr
        assert phone.no_worker_is_left()
    assert not list(command.folder.glob("*.png"))


def test_a_warm_worker_serves_the_next_run_and_loads_nothing(host: AdbHost, command: Cli, tmp_path: Path) -> None:
    options = ["run", PROMPT, "--seed", "5", "--steps", "1"]
    with started(host, tmp_path / "phone") as phone:
        device = ["--device", phone.address]
        first = command.json(*options, *device, "--keep-alive", "-o", "1.png")
        [worker] = phone.workers()
        assert phone.shell("stat -c %a /data/local/tmp/qnn-sd/warm-worker") == "600\n"
        second = command.json(*options, *device, "--keep-alive", "-o", "2.png")
        assert phone.workers() == [worker]
        # Another guidance scale is another graph's input, not another worker.
        third = command.json(*options, *device, "--guidance", "2", "-o", "3.png")
        assert phone.no_worker_is_left()
    assert [run["phone"]["was_warm"] for run in (first, second, third)] == [False, True, True]
    loads = [[each["loads"] for each in run["phone"]["compute"].values()] for run in (first, second, third)]
    assert loads == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]
    images = [np.asarray(Image.open(command.folder / f"{number}.png")) for number in (1, 2, 3)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_a_warm_worker_is_not_taken_for_something_else(host: AdbHost, command: Cli, tmp_path: Path) -> None:
    options = ["run", PROMPT, "--steps", "1"]
    with started(host, tmp_path / "phone") as phone:
        device = ["--device", phone.address]
        elsewhere = ["--soc", "sm8550", "--no-verify"]
        command.json(*options, *device, "--keep-alive", "-o", "1.png")
        [warm] = phone.workers()
        other = command.json(*options, *device, *elsewhere, "--keep-alive", "-o", "2.png")
        assert other["phone"]["was_warm"] is False
        [second] = phone.workers()
        assert second != warm
        # One that was killed meanwhile is no reason to fail.
        phone.shell(f"kill -9 {second}")
        again = command.json(*options, *device, *elsewhere, "--keep-alive", "-o", "3.png")
        assert again["phone"]["was_warm"] is False
        assert len(phone.workers()) == 1
        gone = command.json("unstage", *device)
        assert gone["ended_worker"] is True
        assert phone.no_worker_is_left()
        assert command.json("unstage", *device) == {
            "schema": "qnn-sd/unstage/1",
            "device": phone.address,
            "removed_folders": [],
            "ended_worker": False,
        }


def test_keep_alive_needs_a_phone(cli_here: CliHere) -> None:
    assert "--keep-alive has no meaning" in cli_here.refused(3, "run", PROMPT, "--keep-alive")


@pytest.mark.parametrize("there_already", [True, False])
def test_a_file_gets_its_name_whenever_its_last_piece_arrives(there_already: bool, running: PhoneOnAdb) -> None:
    phone, data = Adb().phone(running.address), b"a small file"
    target = f"{STAGING_FOLDER}/worker/0/small"
    phone.shell(f"mkdir -p {STAGING_FOLDER}/worker/0")
    with PieceAssembler(phone) as assembler:
        assembler.begin(target, 0)
        assembler.send(target, [memoryview(data)])
        if there_already:
            assembler._check_progress(wait=True)
        assembler.end(target, hashlib.sha256(data).hexdigest())
    assert (running.root / target[1:]).read_bytes() == data


def test_a_cable_pulled_while_staging_is_told_and_the_next_run_goes_on(
    host: AdbHost, command: Cli, tmp_path: Path
) -> None:
    options = ["run", PROMPT, "--steps", "1"]
    with started(host, tmp_path / "phone", faults=Faults(disconnect=2_000_000)) as phone:
        message = command.refused(27, *options, "--device", phone.address)
        assert "was interrupted for a moment" in message
        assert f"what was staged on {phone.address}" in message
        phone.adb("wait-for-device")
        assert phone.no_worker_is_left()
        done = command.json(*options, "--device", phone.address)["phone"]
        whole = [
            path for path in (phone.root / STAGING_FOLDER[1:]).rglob("*") if path.is_file() and path.name != "staged"
        ]
        assert done["kept_bytes"] + done["staged_bytes"] == sum(path.stat().st_size for path in whole)
        assert not [path for path in whole if ".part" in path.name]


@pytest.mark.parametrize("moment", ["staging on", "generating on"])
def test_ctrl_c_leaves_no_process_and_no_image(moment: str, host: AdbHost, command: Cli, tmp_path: Path) -> None:
    with started(host, tmp_path / "phone") as phone:
        with command.start("run", PROMPT, "--steps", "1000", "--device", phone.address, "--keep-alive") as process:
            said = interrupt_at(process, moment)
        assert process.returncode == 130, said
        assert "interrupted" in said
        assert phone.no_worker_is_left()
    assert not list(command.folder.glob("*.png"))


def test_a_phone_that_does_not_answer_is_offline(host: AdbHost, command: Cli, tmp_path: Path) -> None:
    with started(host, tmp_path / "phone", connect=False, faults=Faults(offline=True)) as phone:
        connecting = host.start("connect", phone.address)
        message = command.refused(24, "run", PROMPT, "--device", phone.address)
        connecting.kill()
        connecting.wait()
        assert "offline" in message
        assert "plug it in again" in message
        host.bytes("disconnect", phone.address)


@pytest.mark.parametrize("token", ["0" * 64, ""])
def test_a_hello_without_the_token_is_refused_over_adb_too(token: str, running: PhoneOnAdb) -> None:
    phone = Adb().phone(running.address)
    running.shell(f"mkdir -p {STAGING_FOLDER} && touch {STAGING_FOLDER}/worker.dex.jar")
    address = WorkerAddress.fresh("a test")
    start = f"CLASSPATH={STAGING_FOLDER}/worker.dex.jar exec app_process / {MAIN} {PROTOCOL} {address.socket}"
    with phone.start(start) as worker:
        worker.write(f"{address.token}\n".encode())
        assert worker.line().startswith("ready")
        worker.follow()
        with pytest.raises(WorkerError, match="refused"):
            WorkerClient(phone.connect(address.socket)).hello(token)
        worker.await_end(60)
        assert "token" in worker.log()
    assert running.no_worker_is_left()


def test_devices_as_json(running: PhoneOnAdb, command: Cli) -> None:
    [listed] = command.json("devices")["devices"]
    assert (listed["device"], listed["state"], listed["soc"]) == (running.address, "device", "sm8650")
    assert listed["reported_soc"] == "SM8650"


def test_a_phone_that_is_gone_does_not_take_the_others_from_the_list(
    running: PhoneOnAdb, host: AdbHost, command: Cli
) -> None:
    with one_phone_more(host.port, "0A1B2C3D") as port:
        proxied = {"ANDROID_ADB_SERVER_PORT": str(port)}
        done = command("devices", "--json", environment=proxied)
        table = command("devices", environment=proxied).stdout
    assert done.returncode == 0, done.stderr
    assert "no answer" in table
    assert running.address in table
    there, gone = sorted(json.loads(done.stdout)["devices"], key=lambda each: bool(each["problem"]))
    assert (there["device"], there["soc"], there["problem"]) == (running.address, "sm8650", None)
    assert (gone["device"], gone["soc"]) == ("0A1B2C3D", None)
    assert "0A1B2C3D" in gone["problem"]
    assert f"warning: {gone['problem']}" in done.stderr


def test_device_and_another_target_do_not_go_together(cli_here: CliHere) -> None:
    failed = cli_here("run", PROMPT, "--target", "cpu", "--device", "x")
    assert failed.returncode == 3
    assert "--device has no meaning" in failed.stderr


def test_a_phone_handle_asks_in_one_stream_and_both_ends_are_kept_apart(running: PhoneOnAdb) -> None:
    phone: Phone = Adb().phone(running.address)
    result = phone.shell("cat; echo wrong >&2; exit 7", [b"what came", b" in"])
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"what came in", b"wrong\n")
