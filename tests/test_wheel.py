"""The wheel alone, in an environment without torch: what a user installs must do everything."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from PIL import Image


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the built wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "environment", with_pip=True)
    interpreter = folder / "environment" / "bin" / "python"
    locked = ["--constraint", ROOT / "requirements" / "base.txt"]
    subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *locked, wheel], check=True, timeout=1200)
    return interpreter


def run(python: Path, folder: Path, *arguments: str) -> Any:
    """The JSON document of a command of the installed wheel, in ``folder`` with a cache of its own."""
    done = subprocess.run(
        [python.parent / "qnn-sd", *arguments, "--json"],
        cwd=folder,
        env={**os.environ, "QNN_SD_CACHE": str(folder / "cache")},
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_brings_no_torch(python: Path) -> None:
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True)
    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert "qnn-sd" in names
    assert not names & {"torch", "diffusers", "transformers", "torchvision"}


def test_export_quantize_compile_and_run_from_the_wheel(python: Path, tmp_path: Path) -> None:
    """Nothing of the checkout is within reach: another folder, an empty cache."""
    document = run(python, tmp_path, "run", "a green star on white", "--steps", "2", "--seed", "1")
    assert document["target"] == "emulator"
    assert document["fallbacks"] == []
    image = Image.open(tmp_path / "out.png")
    assert image.size == (128, 128)
    assert "context binaries against QDQ graphs at least " in image.text["verified"]
    stages = {path.parent.name for path in (tmp_path / "cache").glob("*/*")}
    assert stages == {"export", "calibrate", "quantize", "compile", "verify", "bundle"}


def test_doctor_from_the_wheel(python: Path, tmp_path: Path) -> None:
    checks = {check["name"]: check for check in run(python, tmp_path, "doctor")["checks"]}
    assert checks["emulator"]["status"] == "ok"
    assert checks["toolchain"]["status"] == "ok", checks["toolchain"]
    # adbutils is in the extra "phone": without it the line says what to type.
    assert checks["adb"]["status"] == "ok" or "pip install '.[phone]'" in checks["adb"]["next"]
