"""What a command says before a long build and while it builds, and whether it asks."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from cli_here import CliHere
from conftest import CHECKPOINT
from terminal import Shown, on_terminal, python

from qnn_sd.cli import forecast

# A command that thinks everything is long, so that a build of a hundredth of a second is asked for.
IMPATIENT = """
import sys
from qnn_sd.cli import app, forecast
forecast._TOLD_FROM_SECONDS = forecast.ASKED_FROM_SECONDS = 0.0
sys.exit(app.main(sys.argv[1:]))
"""
BUILD = ("export", "--component", "text_encoder")
TOLD = r"about (<1|\d+) s on this machine \(\d+ cores?\), 0\.\d GB of memory, \d MB of disk"

# They build, and so aren't in a fast layer.
builds = pytest.mark.usefixtures("pipeline")


def asked(folder: Path, *options: str, answers: tuple[tuple[str, bytes], ...] = (), piped: bool = False) -> Shown:
    """An impatient build on a terminal, into an empty cache."""
    command = [*python(IMPATIENT), *BUILD, *options]
    return on_terminal(command, folder, {"QNN_SD_CACHE": str(folder / "cache")}, answers, columns=160, piped=piped)


def is_built(folder: Path) -> bool:
    return any((folder / "cache").rglob("model.onnx"))


def test_a_long_build_is_told_and_asked_for_and_yes_builds(tmp_path: Path) -> None:
    shown = asked(tmp_path, answers=(("Go on? [y/N] ", b"y\n"),))
    assert shown.code == 0, shown.printed
    assert [bool(re.search(TOLD, line)) for line in shown.screen[:2]] == [False, True], "the demo's line comes first"
    assert is_built(tmp_path)


def test_what_is_typed_before_the_question_does_not_answer_it(tmp_path: Path) -> None:
    early = "import select, sys\nprint('reading', flush=True)\nassert select.select([sys.stdin], [], [], 60)[0]\n"
    typed = [("reading", b"y\n"), ("Go on? [y/N] ", b"n\n")]
    shown = on_terminal(
        [*python(early + IMPATIENT), *BUILD], tmp_path, {"QNN_SD_CACHE": str(tmp_path / "cache")}, typed, columns=160
    )
    assert shown.code == 130, shown.printed
    assert "error: Nothing was made." in shown.screen
    assert not is_built(tmp_path)


@pytest.mark.parametrize("typed", [b"n\n", b"\n", b"perhaps\n", b"\x04"], ids=["n", "enter", "other", "end"])
def test_no_makes_nothing(typed: bytes, tmp_path: Path) -> None:
    shown = asked(tmp_path, answers=(("Go on? [y/N] ", typed),))
    assert shown.code == 130
    assert "error: Nothing was made." in shown.screen
    assert "--yes" in shown.screen[-1]
    assert not (tmp_path / "cache").exists()


def test_ctrl_c_at_the_question_makes_nothing(tmp_path: Path) -> None:
    shown = asked(tmp_path, answers=(("Go on? [y/N] ", b"\x03"),))
    assert shown.code == 130
    assert "Traceback" not in shown.printed
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("option", ["--yes", "-y"])
def test_who_says_yes_beforehand_is_told_and_not_asked(option: str, tmp_path: Path) -> None:
    shown = asked(tmp_path, option)
    assert shown.code == 0, shown.printed
    assert re.search(TOLD, shown.printed)
    assert "Go on?" not in shown.printed
    assert is_built(tmp_path)


def test_a_silenced_command_still_asks_with_the_figures(tmp_path: Path) -> None:
    """What was silenced are remarks. A flag that is in an alias must not answer for its user."""
    shown = asked(tmp_path, "--quiet", answers=(("Go on? [y/N] ", b"n\n"),))
    assert shown.code == 130
    assert re.search(TOLD, shown.printed)
    assert not is_built(tmp_path)


def test_a_document_is_never_kept_waiting_for_an_answer(tmp_path: Path) -> None:
    shown = asked(tmp_path, "--json", piped=True)
    assert shown.code == 0, shown.printed
    assert json.loads(shown.out)["schema"] == "qnn-sd/export/1"
    assert re.search(TOLD, shown.printed)
    assert "Go on?" not in shown.printed


@builds
def test_nobody_is_asked_in_a_pipe(cli_here: CliHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "_TOLD_FROM_SECONDS", 0.0)
    monkeypatch.setattr(forecast, "ASKED_FROM_SECONDS", 0.0)
    done = cli_here(*BUILD, environment={"QNN_SD_CACHE": str(tmp_path / "cache")})
    assert done.returncode == 0, done.stderr
    assert re.search(TOLD, done.stderr.splitlines()[1])
    assert "Go on?" not in done.stderr
    # Done once, it takes no time: nothing is told.
    again = cli_here(*BUILD, environment={"QNN_SD_CACHE": str(tmp_path / "cache")})
    assert again.stderr.startswith("no --checkpoint: ")
    assert again.stderr.count("\n") == 1


@builds
def test_what_is_short_is_a_warning_before_the_start(
    cli_here: CliHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "_TOLD_FROM_SECONDS", 0.0)
    monkeypatch.setattr(forecast, "available_memory", lambda: (1_000_000, "of its container"))
    environment = {"QNN_SD_CACHE": str(tmp_path / "cache")}
    done = cli_here(*BUILD, "--quiet", environment=environment)
    assert done.returncode == 0
    assert "GB of memory are needed, 1 MB are free (of its container)" in done.stderr


@builds
def test_stages_are_counted_with_those_of_the_cache(cli_here: CliHere, tmp_path: Path) -> None:
    environment = {"QNN_SD_CACHE": str(tmp_path / "cache")}
    assert cli_here("export", "--component", "unet", environment=environment).returncode == 0
    lines = cli_here("export", environment=environment).stderr.splitlines()
    told = r"export +(\S+) \(stage (\d) of 4, (about \S+ s; )?(\S+) s left of all; so far memory"
    found = [re.match(told, each) for each in lines if each.startswith("export")]
    assert [each and (each[1], each[2]) for each in found] == [
        ("tiny-sd.text_encoder", "1"),
        ("tiny-sd.vae_decoder", "3"),
        ("tiny-sd.vae_encoder", "4"),
    ]
    assert all(each and each[3] != "about 0 s; " and each[4] != "0" for each in found)


@builds
def test_a_damaged_artifact_is_no_part_of_a_plan(cli_here: CliHere, tmp_path: Path) -> None:
    """A dry run ends as the build would, and before it."""
    environment = {"QNN_SD_CACHE": str(tmp_path / "cache")}
    assert cli_here(*BUILD, environment=environment).returncode == 0
    [weights] = (tmp_path / "cache").rglob("weights.bin")
    weights.write_bytes(b"")
    for options in (("--dry-run",), ()):
        done = cli_here(*BUILD, *options, environment=environment)
        assert done.returncode == 12
        assert "weights.bin is damaged" in done.stderr


def test_a_plan_has_estimates_where_nothing_was_built(cli_here: CliHere, tmp_path: Path) -> None:
    environment = {"QNN_SD_CACHE": str(tmp_path / "cache")}

    def plan(*options: str) -> dict[str, object]:
        done = cli_here(*options, "--dry-run", "--json", environment=environment)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found

    told = plan("compile")
    assert not any(stage["cached"] for stage in told["stages"])
    assert all(stage["estimated_seconds"] > 0 and stage["memory_bytes"] > 0 for stage in told["stages"])
    assert all(stage["last_seconds"] is None for stage in told["stages"])
    assert (told["known_seconds"], told["image_seconds"]) == (0, None)
    assert told["estimated_seconds"] > 10
    names = [(stage["stage"], stage["component"], stage["subject"]) for stage in told["stages"]]
    assert len(set(names)) == len(names)
    run = plan("run", "a red circle", "--steps", "40")
    assert run["image_seconds"] > 10
    rough = plan("compile", "--rounding", "nearest", "--no-verify")
    assert rough["estimated_seconds"] < told["estimated_seconds"]
    larger = plan("compile", "--size", "256x192")
    # Timed twice: the machine is another one from moment to moment.
    assert larger["estimated_seconds"] > told["estimated_seconds"]
    assert larger["memory_bytes"] > told["memory_bytes"]
    table = cli_here("compile", "--dry-run", environment=environment).stdout
    assert "24 of 24 stages to do: about" in table
    assert not re.search(r"(^|\s)0 s", table)
    assert not (tmp_path / "cache").exists()


@builds
def test_a_plan_says_what_images_take_where_all_is_built(cli_here: CliHere, tmp_path: Path) -> None:
    environment = {"QNN_SD_CACHE": str(tmp_path / "cache")}
    run = ("run", "a red circle", "--target", "cpu", "--steps", "1")
    assert cli_here(*run, environment=environment).returncode == 0
    many = (*run, "-n", "1000", "--dry-run")
    told = cli_here(*many, environment=environment).stdout.splitlines()[-1]
    assert re.fullmatch(
        r"0 of (\d+) stages to do; the images take about .+ on this machine \(.+\), 0\.\d GB of memory\.", told
    )
    document = json.loads(cli_here(*many, "--json", environment=environment).stdout)
    assert document["image_seconds"] == document["estimated_seconds"] > 10
    built = cli_here("export", "--component", "unet", "--dry-run", environment=environment).stdout
    assert "0 of 1 stages to do." in built


def test_last_time_is_that_of_the_same_settings(cli_here: CliHere, own_cache: Path) -> None:
    """The same component rounded to nearest is another piece of work, and so is the same at another size."""
    cli_here.environment["QNN_SD_CACHE"] = str(own_cache)
    shutil.rmtree(own_cache / "quantize")
    quantize = ("quantize", "--component", "text_encoder")
    assert cli_here(*quantize, "--rounding", "nearest").returncode == 0
    [stage] = [each for each in cli_here.json(*quantize, "--dry-run")["stages"] if each["stage"] == "quantize"]
    assert (stage["cached"], stage["last_seconds"]) == (False, None)
    assert stage["estimated_seconds"] > 0
    # The same work on other weights.
    shutil.copytree(CHECKPOINT, cli_here.folder / "tuned")
    (cli_here.folder / "tuned" / "scheduler" / "scheduler_config.json").open("a").write("\n")
    checkpoint = cli_here.folder / "tuned" / "text_encoder" / "model.safetensors"
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1
    checkpoint.write_bytes(content)
    same = cli_here.json(*quantize, "--rounding", "nearest", "--checkpoint", "tuned", "--dry-run")["stages"]
    [stage] = [each for each in same if each["stage"] == "quantize"]
    assert not stage["cached"]
    assert stage["last_seconds"] == pytest.approx(stage["estimated_seconds"])
    assert stage["last_seconds"] > 0
    other = cli_here.json("export", "--size", "64x64", "--dry-run")["stages"]
    assert [each["last_seconds"] for each in other] == [None] * 4


@builds
def test_the_doctor_says_whether_a_model_fits(cli_here: CliHere) -> None:
    document = cli_here.json("doctor", "--size", "64x64")
    checks = {check["name"]: check for check in document["checks"]}
    assert list(checks)[-2:] == ["memory", "time"]
    assert re.search(r"GB needed, .* free for", checks["disk"]["found"])
    assert "(of this machine)" in checks["memory"]["found"] or "(of its container)" in checks["memory"]["found"]
    # Not downloaded, and still known.
    full = cli_here.json("doctor", "--model", "sd15", environment={"HF_HUB_CACHE": str(cli_here.folder)})
    found = {check["name"]: check["found"] for check in full["checks"]}
    assert "the checkpoint isn't downloaded yet" in found["disk"]
    assert re.match(r"about (\d+ h|1?\d\d min)", found["time"])
    assert re.match(r"(8|9)\.\d GB needed", found["memory"])
    message = cli_here.refused(10, "doctor", "--checkpoint", "nowhere")
    assert "nowhere is missing" in message
