"""The wheel alone, in an environment without torch: what a user installs must do everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from demo_configs import LESS, changed_demo
from PIL import Image


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the built wheel and what it depends on."""
    environment = tmp_path_factory.mktemp("wheel") / "environment"
    venv.create(environment)
    interpreter = environment / "bin" / "python"
    # Modules are compiled when they are imported: few of them are.
    wanted = ["--quiet", "--no-compile", "--constraint", ROOT / "requirements" / "base.txt", wheel]
    subprocess.run([*pip_of(interpreter), "install", *wanted], check=True, timeout=1200)
    return interpreter


@pytest.fixture(scope="module")
def small(python: Path) -> str:
    """Name of a model that is built quickly; its config is beside those that the wheel brings."""
    [configs] = python.parents[1].glob("lib/python*/site-packages/qnn_sd/_data/model_configs")
    changed_demo(configs, LESS, "small")
    return "small"


def pip_of(interpreter: Path) -> list[str | Path]:
    """This environment's pip, at work in another one that needs none."""
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", interpreter]


def run(python: Path, folder: Path, *arguments: str) -> Any:
    """The JSON document of a command of the installed wheel, in ``folder`` with a cache of its own."""
    done = subprocess.run(
        [python.parent / "qnn-sd", *arguments, "--json"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        | {"QNN_SD_CACHE": str(folder / "cache")},
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_brings_no_torch(python: Path) -> None:
    command = [*pip_of(python), "list", "--format=json"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert "qnn-sd" in names
    assert not names & {"torch", "diffusers", "transformers", "torchvision"}


def test_export_quantize_compile_and_run_from_the_wheel(python: Path, small: str, tmp_path: Path) -> None:
    """Nothing of the checkout is within reach: another folder, an empty cache."""
    document = run(python, tmp_path, "run", "a green star on white", "--model", small, "--steps", "2", "--seed", "1")
    assert document["target"] == "emulator"
    assert document["fallbacks"] == []
    image = Image.open(tmp_path / "out.png")
    assert image.size == (128, 128)
    assert "context binaries against QDQ graphs at least " in image.text["verified"]
    stages = {path.parent.name for path in (tmp_path / "cache").glob("*/*")}
    assert stages == {"export", "calibrate", "quantize", "compile", "verify", "bundle"}


def test_doctor_from_the_wheel(python: Path, wheel: Path, tmp_path: Path) -> None:
    checks = {check["name"]: check for check in run(python, tmp_path, "doctor")["checks"]}
    assert checks["emulator"]["status"] == "ok"
    assert checks["toolchain"]["status"] == "ok", checks["toolchain"]
    # adbutils is in the extra "phone": without it the line says what to type.
    assert checks["adb"]["status"] == "ok" or f"pip install '{wheel}[phone]'" in checks["adb"]["next"]


def test_every_file_that_code_reads_is_in_the_wheel(wheel: Path) -> None:
    """Beside modules: configs, profiles, the demo and its prompts, the worker, schemas, pins, pages."""
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "qnn_sd").rglob("*") if path.is_file()}
    for folder in ("model_configs", "device_profiles", "assets/tiny-sd", "assets/prompts", "assets/tiny_sd_prompts"):
        data = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
        assert data
        wanted |= {f"qnn_sd/_data/{path.relative_to(ROOT).as_posix()}" for path in data}
    wanted |= {f"qnn_sd/_data/docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} | {"qnn_sd/_data/README.md"}
    missing = {path for path in wanted - packed if "__pycache__" not in path}
    assert missing == set()
    assert "qnn_sd/worker_jars/worker.dex.jar" in packed
    assert not [name for name in packed if name.startswith("qnn_sd/_data/docs/") and not name.endswith(".md")]


def test_the_pages_from_the_wheel(python: Path, tmp_path: Path) -> None:
    pages = {page["name"]: Path(page["file"]) for page in run(python, tmp_path, "docs")["pages"]}
    assert pages.keys() == {path.stem for path in (ROOT / "docs").glob("*.md")} | {"readme"}
    assert all(path.is_relative_to(python.parents[1]) for path in pages.values())
    assert pages["phone"].read_bytes() == (ROOT / "docs" / "phone.md").read_bytes()
