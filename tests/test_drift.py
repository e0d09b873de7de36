"""The drift report on faults that are caused: what can't be installed, dies, hangs or generates something else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import drift
import numpy as np
import pytest
import releases
from conftest import ROOT
from drift import Broken, Environment, Outcome, Plan
from needs import DEV_LOCK, asked_for, locked
from packaging.requirements import Requirement
from PIL import Image

from qnn_sd.toolchain import load_toolchains

HERE = Path(sys.executable)
OFFLINE = ("--no-index", "--find-links", "nowhere")


def test_a_version_that_does_not_exist_is_reported_and_nothing_else_is_tried(tmp_path: Path) -> None:
    plan = Plan("broken", ((*OFFLINE, "onnxruntime-qnn==99.0.0"),), HERE)
    outcome = Environment(plan, tmp_path / "broken").try_all()
    assert list(outcome.broken) == ["install"]
    assert "onnxruntime-qnn==99.0.0" in outcome.broken["install"]
    assert outcome.image is None
    assert not (tmp_path / "broken").exists()
    well = Outcome("well", {"onnxruntime": "1.27.0"}, {"unet": [63.4]}, True, "9 passed", {"compile": 40.0})
    text = drift.report([outcome, well])
    assert "broken, install: exit code 1" in text
    assert "well, " not in text


def test_an_environment_without_the_package_is_reported_at_each_step(tmp_path: Path) -> None:
    """It can be made, and then nothing works in it."""
    outcome = Environment(Plan("empty", (), HERE), tmp_path / "empty").try_all()
    assert list(outcome.broken) == ["compile", "tests"]
    assert "qnn-sd: No such file or directory" in outcome.broken["compile"]
    assert outcome.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "onnxruntime" not in outcome.versions


def test_an_interpreter_that_is_not_there_is_reported(tmp_path: Path) -> None:
    outcome = Environment(Plan("x", (), tmp_path / "python"), tmp_path / "x").try_all()
    assert "python: No such file or directory" in outcome.broken["environment"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV"),
        ("import sys; sys.exit('error: unet is 12 dB')", "exit code 1\nerror: unet is 12 dB"),
        ("while True: pass", "took more than 0.5 s"),
    ],
)
def test_how_a_step_ended_is_told(code: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(Broken) as caught:
        drift.run_step([HERE, "-c", code], 0.5 if "while" in code else 60, tmp_path)
    assert str(caught.value) == told


def test_a_step_is_not_led_to_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    code = "import os; print(os.environ.get('PYTHONPATH'), os.environ['QNN_SD_CACHE'])"
    assert drift.run_step([HERE, "-c", code], 60, tmp_path, tmp_path / "c").split() == ["None", str(tmp_path / "c")]


def compiled(**unet: Any) -> dict[str, Any]:
    return {"components": {"unet": {"context_binary_bytes": 7, **unet}}}


def test_every_figure_of_a_component_is_taken() -> None:
    def gates(binary: object, floats: object) -> dict[str, object]:
        return {"binary_against_qdq": binary and {"worst_db": binary}, "qdq_against_float": {"worst_db": floats}}

    assert drift.sqnr_of(compiled(verification=gates(63.4, 52.0))) == {"unet": [63.4, 52.0]}
    for bad in (None, gates(None, 52.0), gates(float("nan"), 52.0), gates(63.4, float("nan"))):
        nothing = {} if bad is None else {"verification": bad}
        with pytest.raises(Broken, match="no SQNR of unet"):
            drift.sqnr_of(compiled(**nothing))


def image(path: Path, thing: tuple[int, int, int], background: tuple[int, int, int]) -> Path:
    rows, columns = np.mgrid[:128, :128]
    pixels = np.where(((rows - 64) ** 2 + (columns - 64) ** 2 < 900)[..., None], thing, background)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def test_the_checker_judges_the_image(tmp_path: Path) -> None:
    red, blue, green = (220, 40, 40), (45, 75, 220), (40, 160, 60)
    assert drift.shows_the_prompt(image(tmp_path / "right.png", red, blue))
    assert not drift.shows_the_prompt(image(tmp_path / "wrong.png", green, blue))
    assert not drift.shows_the_prompt(image(tmp_path / "turned.png", blue, red))


def test_the_table_has_a_row_each_and_tells_what_broke() -> None:
    versions = {"python": "3.11.7", "onnxruntime": "1.32.0", "onnxruntime-qnn": "2.7.0"}
    died = Outcome("newest", versions, broken={"compile": "died of SIGSEGV\nlast words"}, seconds={"compile": 3.2})
    died.broken["tests"] = "exit code 1\n3 failed"
    well = Outcome("2.50", versions, {"unet": [63.4, 52.0]}, True, "9 passed", {"compile": 40.4, "image": 29.9})
    head, first, second, _, *rest = drift.report([died, well]).splitlines()
    assert head.split()[:4] == ["set", "python", "onnxruntime", "onnxruntime-qnn"]
    assert first.split() == ["newest", "3.11.7", "1.32.0", "2.7.0", *"----", "-", "broken", "3"]
    figures = ["-", "63.4", "/", "52.0", "-", "-"]
    assert second.split() == ["2.50", "3.11.7", "1.32.0", "2.7.0", *figures, "right", "9", "passed", "70"]
    assert rest == [
        "What broke:",
        "  newest, compile: died of SIGSEGV",
        "    last words",
        "  newest, tests: exit code 1",
        "    3 failed",
    ]
    assert drift.report([well]).endswith("Nothing broke.")


def test_every_set_the_lower_bounds_and_the_newest_are_planned() -> None:
    planned = {plan.name: plan.installs for plan in drift.plans([HERE])}
    known = load_toolchains()
    assert list(planned) == [*(each.name for each in known.sets), "lower bounds", "newest"]
    for each in known.sets:
        assert planned[each.name][1] == ("--no-deps", *(f"{name}=={text}" for name, text in each.packages.items()))
    assert {"numpy==2.2", "onnxruntime==1.27", "hatchling==1.27", "jgo==3.2"} <= set(planned["lower bounds"][0])
    assert not any("=" in argument for argument in planned["newest"][0])


def test_the_exit_code_tells(tmp_path: Path) -> None:
    done = drift_command("--json", "--only", "newest", "--python", str(tmp_path / "none"))
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["broken"]
    [outcome] = document["environments"]
    assert list(outcome["broken"]) == ["environment"]
    assert drift_command("--only", "2.4").returncode == 2


def drift_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, on this checkout's package."""
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "drift.py"), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# --- the quick comparison


def test_without_a_network_the_comparison_says_nothing() -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_INDEX": "", "PIP_FIND_LINKS": ""}
    done = drift_command("--cheap", **nowhere)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_newer_releases_are_told_those_outside_the_bounds_first() -> None:
    asked = [Requirement(text) for text in ("click>=8,<9", "numpy>=2.2,<3", "rich>=14,<16", "qai-hub>=0.30,<1")]
    held = {"click": "8.5.1", "numpy": "2.4.6", "rich": "15.0.0"}
    newest = {"click": "8.5.10", "numpy": "3.0.0", "rich": "15.0.0", "qai-hub": "1.0"}
    assert [each.line for each in releases.compared(asked, held, newest)] == [
        "numpy: 2.4.6, newest 3.0.0, outside <3,>=2.2",
        "qai-hub: not locked, newest 1.0, outside <1,>=0.30",
        "click: 8.5.1, newest 8.5.10, inside the bounds",
    ]
    assert releases.compared(asked, held, {"click": ""}) == []


def test_the_newest_release_is_pips_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of wheels in a folder, where no registry is needed."""
    for version in ("1.9.0", "1.10.0", "2.0.0rc1"):
        (tmp_path / f"some_thing-{version}-py3-none-any.whl").touch()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    soon = releases.time.monotonic() + 60
    assert releases.newest_release("some-thing", soon) == "1.10.0"
    assert releases.newest_release("another", soon) == ""
    assert releases.newest_release("some-thing", 0.0) == ""


def test_the_lock_holds_everything_that_is_compared() -> None:
    held = locked(DEV_LOCK)
    assert all(each.name in held for each in asked_for("phone", "dev"))
