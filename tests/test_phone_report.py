"""``qnn-sd doctor --phone``: every step on a virtual phone behind the real adb, and the report to send."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from adb_host import AdbHost, PhoneOnAdb, started, user
from cli_here import CliHere
from conftest import CHECKPOINT, Cli, json_document
from PIL import Image

from qnn_sd import qnn_provider
from qnn_sd.cli.phone_report import write_report
from qnn_sd.device_properties import VIRTUAL_PHONE_PROPERTY
from qnn_sd.errors import OutputError, StagingError, TargetError
from qnn_sd.health_checks import CheckResult
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS
from qnn_sd.targets.adb.client import Phone
from qnn_sd.targets.adb.diagnostics import Findings, Privacy, Step, document, markdown
from qnn_sd.targets.adb.diagnostics.checklist import Checklist, Details
from qnn_sd.targets.adb.diagnostics.comparison import (
    compare_images,
    compare_outputs,
    require_matching_image,
    require_matching_outputs,
)
from qnn_sd.targets.adb.diagnostics.connection_checks import ConnectionChecks
from qnn_sd.targets.adb.diagnostics.soc_manufacturer import manufacturer_finding
from qnn_sd.targets.adb.staging import MIN_FREE_BYTES, STAGING_FOLDER
from qnn_sd.toolchain import load_toolchains
from qnn_sd.virtual_phone import Faults

# What no report may hold; the user's name stands in the path of a folder, too.
USER, SERIAL = "grace-hopper", "R5CT10ABCDE"
STEPS = [
    "adb",
    "phone",
    "details",
    "bundle",
    "runtime libraries",
    "staging",
    "worker",
    *(f"load {name}" for name in TEXT_TO_IMAGE_COMPONENTS),
    "reference",
    *(f"result {name}" for name in TEXT_TO_IMAGE_COMPONENTS),
    "image",
    "memory and heat",
    "worker's end",
]


@dataclass
class Report:
    """What one run left.

    Attributes:
        done: the command.
        page: the Markdown.
        phone: which one it was.
    """

    done: subprocess.CompletedProcess[str]
    page: str
    phone: PhoneOnAdb

    @property
    def told(self) -> Any:
        """The command's JSON document; stdout holds nothing else."""
        return json_document(self.done.stdout)

    @property
    def steps(self) -> dict[str, Any]:
        """By name."""
        return {step["name"]: step for step in self.told["phone"]["steps"]}

    def failed(self) -> Any:
        """The one step that failed; the exit code and the page say so too."""
        assert self.done.returncode == 40, self.done.stderr
        assert "Traceback" not in self.done.stderr
        [step] = [step for step in self.steps.values() if step["status"] == "failed"]
        assert not self.told["healthy"]
        assert f"| failed | {step['name']} |" in self.page
        assert step["next"]
        assert self.told["error"]["code"] == 40
        return step

    def status_of(self, status: str) -> list[str]:
        return [name for name, step in self.steps.items() if step["status"] == status]


def examine(cli: Cli, adb: AdbHost, phone: PhoneOnAdb, *options: str) -> Report:
    """Runs the command as a user of a certain name; the report is never to hold it."""
    command = user(cli, adb)
    command.environment["LOGNAME"] = USER
    folder = command.folder / USER
    folder.mkdir(exist_ok=True)
    path = folder / "phone-report.md"
    done = command("doctor", "--device", phone.address, "-o", str(path), "--json", *options)
    assert path.is_file(), done.stderr
    report = Report(done, path.read_text("utf-8"), phone)
    for text in (report.page, json.dumps(report.told["phone"])):
        for name in (phone.address, SERIAL, str(adb.home), str(folder), USER, cli.environment["QNN_SD_CACHE"]):
            assert name not in text
    return report


@pytest.fixture(scope="module")
def healthy(adb: AdbHost, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """A run on a phone where all is well; the phone stays."""
    with started(adb, tmp_path_factory.mktemp("phone"), serial=SERIAL) as phone:
        yield examine(Cli(cache, tmp_path_factory.mktemp("folder")), adb, phone)


def image_of(report: Report) -> np.ndarray:
    return np.asarray(Image.open(Path(report.done.args[report.done.args.index("-o") + 1]).with_suffix(".png")))


def test_all_steps_of_a_healthy_phone_are_well(healthy: Report) -> None:
    assert healthy.done.returncode == 0, healthy.done.stderr
    assert healthy.told["healthy"]
    assert list(healthy.steps) == STEPS
    assert healthy.status_of("ok") == STEPS
    for name in STEPS:
        assert f"ok      {name}: " in healthy.done.stderr


def test_a_virtual_phone_is_called_one_on_top(healthy: Report) -> None:
    assert healthy.page.startswith("# qnn-sd phone report\n\n**A virtual phone**")
    assert healthy.told["phone"]["phone"] == "virtual"


def test_the_report_holds_what_a_maintainer_needs(healthy: Report) -> None:
    told, steps = healthy.told["phone"], {name: step["details"] for name, step in healthy.steps.items()}
    assert {"qnn-sd", "onnxruntime", "onnxruntime-qnn", "adbutils"} <= set(told["host"]["versions"])
    assert told["host"]["machine"]
    assert steps["details"]["properties"]["ro.soc.model"] == "SM8650"
    assert (steps["bundle"]["soc"], steps["bundle"]["dl_mode"]) == ("sm8650", 2)
    assert steps["staging"]["first"]["sent_bytes"] > 1_000_000
    assert steps["staging"]["second"]["sent_bytes"] == 0
    assert steps["worker"]["protocol"] == 2
    assert steps["worker"]["onnxruntime"]
    assert steps["memory and heat"]["status"]["peak_bytes"] > 0
    assert steps["memory and heat"]["status"]["zones"]
    for name in TEXT_TO_IMAGE_COMPONENTS:
        assert steps[f"load {name}"]["load_seconds"] > 0
        assert steps[f"result {name}"]["against_emulator"]["bit_identical"]
        assert steps[f"result {name}"]["against_qdq_graph"]["db"] >= 50
        assert steps["image"]["components"][name]["ms_per_call"] > 0
    assert steps["result unet"]["calls"] == 3
    assert steps["image"]["against_emulator"]["bit_identical"]


def test_the_page_holds_the_document_and_shows_the_image(healthy: Report) -> None:
    found = re.search(r"```json\n(.*?)\n```", healthy.page, re.DOTALL)
    assert found
    assert json.loads(found[1]) == healthy.told["phone"]
    assert "![The image](<phone-report.png>)" in healthy.page
    image = image_of(healthy)
    assert image.shape == (128, 128, 3)
    red, green, blue = image[60:68, 60:68].mean((0, 1))
    assert green > 2 * max(red, blue), "no green square"


def test_no_worker_is_left(healthy: Report) -> None:
    assert healthy.phone.workers() == []


def test_a_binary_that_was_damaged_on_the_phone_is_found(healthy: Report, cli: Cli, adb: AdbHost) -> None:
    """Its size and time are as they were, so that staging takes it for whole."""
    [binary] = (healthy.phone.root / STAGING_FOLDER[1:] / "unet").rglob("*.bin")
    whole, times = binary.read_bytes(), binary.stat()
    binary.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(binary, ns=(times.st_atime_ns, times.st_mtime_ns))
    report = examine(cli, adb, healthy.phone)
    failed = report.failed()
    assert failed["name"] == "staging"
    assert f"unet/{binary.name}" in failed["found"]
    assert "unstage" in failed["next"]
    assert failed["details"]["second"]["sent_bytes"] == 0
    assert report.status_of("skipped") == STEPS[STEPS.index("worker") :]
    assert "because this failed: staging" in report.page
    assert "What the phone generated" not in report.page


def test_a_worker_that_dies_takes_only_what_needs_it(cli: Cli, adb: AdbHost, tmp_path: Path) -> None:
    # Past hello and the first component's load, before the last one's.
    with started(adb, tmp_path / "phone", serial=SERIAL, faults=Faults(kill_worker=400)) as phone:
        report = examine(cli, adb, phone)
        failed = report.failed()
        assert failed["name"].startswith("load ")
        assert "worker" in failed["found"]
        assert report.status_of("skipped") == STEPS[STEPS.index(failed["name"]) + 1 : -1]
        assert report.steps["worker's end"]["status"] == "ok"
        assert phone.workers() == []


def test_a_phone_without_room(cli: Cli, adb: AdbHost, tmp_path: Path) -> None:
    full = Faults(free_space=MIN_FREE_BYTES + 1_000_000)
    with started(adb, tmp_path / "phone", serial=SERIAL, faults=full) as phone:
        failed = examine(cli, adb, phone).failed()
    assert failed["name"] == "staging"
    assert "SERIAL has too little free space" in failed["found"]


def test_an_unknown_soc_is_told_with_the_phones_facts(cli: Cli, adb: AdbHost, tmp_path: Path) -> None:
    other = Faults(properties={"ro.soc.model": "SM9999"})
    with started(adb, tmp_path / "phone", serial=SERIAL, faults=other) as phone:
        report = examine(cli, adb, phone)
    failed = report.failed()
    assert failed["name"] == "bundle"
    assert "SM9999" in failed["found"]
    assert "--soc" in failed["next"]
    assert report.steps["details"]["details"]["properties"]["ro.board.platform"] == "pineapple"


def test_a_phone_without_libraries_is_told_what_to_get(cli: Cli, adb: AdbHost, tmp_path: Path) -> None:
    # One that doesn't say that it is virtual needs Android's libraries.
    silent = Faults(properties={VIRTUAL_PHONE_PROPERTY: ""})
    with started(adb, tmp_path / "phone", serial=SERIAL, faults=silent) as phone:
        report = examine(cli, adb, phone)
    failed = report.failed()
    assert failed["name"] == "runtime libraries"
    # Where none are published for the compiler's QAIRT, those of an SDK.
    installed = load_toolchains().of(qnn_provider.versions())
    assert installed is not None
    wanted = f"runtime fetch --qairt {installed.phone.qnn_runtime}" if installed.phone else "--qairt-sdk"
    assert wanted in failed["next"]
    assert report.steps["bundle"]["status"] == "ok"


def test_no_such_phone(cli: Cli, adb: AdbHost) -> None:
    path = cli.folder / "phone-report.md"
    done = user(cli, adb)("doctor", "--device", "emulator-5999", "-o", path.name)
    assert done.returncode == 40
    page = path.read_text("utf-8")
    assert "**No phone was reached.**" in page
    assert "| failed | phone | There is no phone 'SERIAL'" in page
    assert "5999" not in page
    assert "failed" in done.stdout
    # Before the first step it is said that it is the demo that would be built.
    assert done.stderr.startswith("no --checkpoint: the demo model (tiny-sd, 128x128)\n")


def test_a_checkpoint_that_was_not_reached_has_no_model(cli: Cli, adb: AdbHost) -> None:
    """The checkpoint decides it, and is opened only once the phone is known."""
    done = user(cli, adb)("doctor", "--device", "emulator-5999", "--checkpoint", str(CHECKPOINT), "--json")
    settings = json_document(done.stdout)["phone"]["settings"]
    assert (settings["model"], settings["size"], settings["own_checkpoint"]) == (None, None, True)


def test_the_only_phone_needs_no_serial(cli: Cli, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    alone = AdbHost(tmp_path_factory.mktemp("home"))
    command = user(cli, alone)
    other = Faults(properties={"ro.soc.model": "SM9999"})  # the steps end where a bundle is to be made
    with closing(alone):
        assert "There is no phone" in command("doctor", "--phone").stdout
        with started(alone, tmp_path / "phone", serial=SERIAL, faults=other) as phone:
            done = command("doctor", "--phone", "--json")
    told = json_document(done.stdout)["phone"]
    steps = {step["name"]: step for step in told["steps"]}
    assert (done.returncode, steps["phone"]["found"]) == (40, "the only one that adb lists")
    assert steps["details"]["details"]["soc"] == "SM9999"
    for name in (phone.address, SERIAL):
        assert name not in json.dumps(told)


@pytest.mark.parametrize("options", [("-o", "a.md"), ("--soc", "sm8550")])
def test_what_is_about_a_phone_needs_one(cli_here: CliHere, options: tuple[str, str]) -> None:
    assert "has no meaning without --phone" in cli_here.refused(3, "doctor", *options)


def test_a_report_that_cannot_be_written_is_refused_at_once(cli_here: CliHere) -> None:
    (cli_here.folder / "folder.md").mkdir()
    (cli_here.folder / "image.png").mkdir()
    for name, refused in (
        ("report.txt", "report.txt"),
        ("folder.md", "folder.md"),
        ("image.md", "image.png"),
        ("nowhere/report.md", "nowhere/report.md"),
    ):
        assert f"Can't write {refused}" in cli_here.refused(30, "doctor", "--device", "x", "-o", name)


# The parts, without a phone


def steps_of(*found: str) -> Findings:
    return Findings([Step("adb", "ok", each) for each in found], virtual=True, image=np.zeros((4, 4, 3), np.uint8))


def test_an_earlier_report_survives_one_that_cannot_be_written(tmp_path: Path) -> None:
    path, findings = tmp_path / "report.md", steps_of("well")
    told = document(findings, [], {}, Privacy())
    assert write_report(path, told, findings) == [path, tmp_path / "report.png"]
    before = path.read_bytes()
    (tmp_path / "report.png").unlink()
    (tmp_path / "report.png").mkdir()
    with pytest.raises(OutputError):
        write_report(path, document(steps_of("other"), [], {}, Privacy()), findings)
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["report.md", "report.png"]


def test_private_names_go_and_words_that_hold_them_stay() -> None:
    privacy = Privacy()
    privacy.hide("ann", "USER")
    privacy.hide_path(Path("/home/ann"), "~")
    privacy.hide_serial("192.168.1.20:5555")
    said = {"ann": ["/home/ann/x and /mnt/ann/y", "annual", {"at": "192.168.1.20:5555, 192.168.1.20"}, 3, None]}
    assert privacy.redact(said) == {"ann": ["~/x and /mnt/USER/y", "annual", {"at": "SERIAL, SERIAL"}, 3, None]}


def test_nothing_in_a_cell_is_markup() -> None:
    page = markdown(document(steps_of("a|b\n<script> *c*"), [], {}, Privacy()), None)
    assert r"| ok | adb | a\|b \<script\> \*c\* | 0.00 |  |" in page


def test_the_workers_log_is_shown_as_it_is() -> None:
    findings = Findings(log=["Error 0x80000406", "```", "in /home/ann/x"])
    privacy = Privacy()
    privacy.hide_path(Path("/home/ann"), "~")
    page = markdown(document(findings, [], {}, privacy), None)
    assert "## The end of the worker's log\n\n    Error 0x80000406\n    ```\n    in ~/x\n\n" in page


def test_what_needs_a_failed_step_is_skipped_and_names_the_first_cause() -> None:
    told: list[str] = []
    steps = Checklist(lambda step: told.append(step.name))

    def fails(details: Details) -> str:
        details["seen"] = 1
        raise StagingError("No room", why="It is full", hint="Make room.")

    def breaks(_details: Details) -> str:
        raise ZeroDivisionError("by zero")

    steps.check("first", fails)
    steps.check("second", lambda _details: "never", ["first"])
    steps.check("third", lambda _details: "never", ["second"])
    steps.check("other", lambda _details: "well")
    steps.check("bug", breaks, ["other"])
    steps.mark_lost("all", "bug")
    steps.check("last", lambda _details: "never", ["all"])
    found = [(step.status, step.found) for step in steps.steps]
    assert found == [
        ("failed", "No room: It is full"),
        ("skipped", "because this failed: first"),
        ("skipped", "because this failed: first"),
        ("ok", "well"),
        ("failed", "ZeroDivisionError: by zero"),
        ("skipped", "because this failed: bug"),
    ]
    assert steps.steps[0].details == {"seen": 1}
    assert steps.steps[0].advice == "Make room."
    assert "ZeroDivisionError" in steps.steps[4].details["traceback"]
    assert told == [step.name for step in steps.steps]


def test_results_that_are_not_alike_are_refused(rng: np.random.Generator) -> None:
    right = [rng.normal(size=(2, 3)).astype(np.float32) for _call in range(2)]
    same = compare_outputs(right, [each.copy() for each in right])
    assert (same.text, same.details) == ("bit-identical", {"bit_identical": True, "db": 200.0})
    require_matching_outputs("unet", "the emulator", same)
    require_matching_outputs(
        "unet", "the emulator", compare_outputs(right, [each * np.float32(1.001) for each in right])
    )
    for wrong in ([each * np.float32(1.01) for each in right], [each * np.float32(np.nan) for each in right]):
        with pytest.raises(TargetError, match="The results of unet on the phone differ"):
            require_matching_outputs("unet", "the emulator", compare_outputs(right, wrong))
    image = rng.integers(0, 255, (8, 8, 3), np.uint8)
    require_matching_image(compare_images(image, image + np.uint8(1)))
    with pytest.raises(TargetError, match="image differs from the emulator"):
        require_matching_image(compare_images(image, image[::-1]))


def test_the_words_of_the_format_stay_whatever_a_user_is_called() -> None:
    privacy = Privacy()
    for name in ("qnn-sd", "phone", "virtual", "ok", "failed"):
        privacy.hide(name, "USER")
    findings = Findings([Step("adb", "ok", "phone ok"), Step("phone", "failed", "failed")], virtual=True)
    told = document(findings, [CheckResult("disk", "failed", "failed", "phone")], {}, privacy)
    assert (told["schema"], told["phone"]) == ("qnn-sd/phone-report/1", "virtual")
    assert [(step["status"], step["found"]) for step in told["steps"]] == [("ok", "USER USER"), ("failed", "USER")]
    assert [(check["status"], check["found"], check["next"]) for check in told["checks"]] == [
        ("failed", "USER", "USER")
    ]
    assert "**A virtual phone**" in markdown(told, None)


# The phone's maker.


@pytest.mark.parametrize(
    ("maker", "plugin", "text", "lacking"),
    [
        ("QTI", "2.6.0", "2.5 and later know QTI", False),
        ("QTI", "2.4.0", "it looks into /dev instead", False),
        ("Qualcomm", "2.4.0", "it looks into /dev instead", False),
        ("Qualcomm", "2.6.0", "2.7 and later know Qualcomm, 2.5 and 2.6 only QTI", True),
        ("Qualcomm", "2.7.0", "2.7 and later know Qualcomm", False),
        ("Qualcomm", "2.10.0", "2.7 and later know Qualcomm", False),
        ("Qualcomm", None, "the plugin's version isn't known", True),
        ("", "2.6.0", "ro.soc.manufacturer is empty, the plugin is 2.6.0", True),
        ("Mediatek", "2.6.0", "which is no name of Qualcomm's", True),
    ],
)
def test_a_phones_maker_needs_a_plugin_that_knows_it(maker: str, plugin: str | None, text: str, lacking: bool) -> None:
    said, found = manufacturer_finding(maker, plugin)
    assert text in said
    assert found is lacking


class _Checks(ConnectionChecks):
    """The step with a phone that has no more than its maker, and no libraries."""

    def __init__(self, maker: str) -> None:
        self.warned: list[str] = []

        class _Phone:
            @staticmethod
            def ask(command: str) -> str:
                assert command == "getprop ro.soc.manufacturer"
                return f"{maker}\n"

        class _Console:
            warn = self.warned.append

        self.phone, self._libraries, self._console = cast(Phone, _Phone()), None, cast(Any, _Console())


@pytest.mark.parametrize(("maker", "warnings"), [("QTI", 0), ("Qualcomm", 1), ("", 1)])
def test_the_doctor_names_maker_plugin_and_the_version_that_it_takes(maker: str, warnings: int) -> None:
    checks, details = _Checks(maker), {}
    said = checks._manufacturer(details)
    assert details == {"soc_manufacturer": maker, "plugin": "2.6.0"}
    assert "the plugin is 2.6.0" in said
    assert len(checks.warned) == warnings
