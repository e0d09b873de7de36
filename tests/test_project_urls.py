"""The project's addresses in the wheel's metadata: those of the checkout's remote, and never invented."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest
from conftest import ROOT

import hatch_build

GITHUB = {
    "Source": "https://github.com/someone/kit",
    "Issues": "https://github.com/someone/kit/issues",
    "Documentation": "https://github.com/someone/kit/blob/HEAD/README.md",
    "Changelog": "https://github.com/someone/kit/blob/HEAD/CHANGELOG.md",
}


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/someone/kit",
        "https://github.com/someone/kit.git",
        "https://someone:secret@github.com/someone/kit.git",
        "git@github.com:someone/kit.git",
        "ssh://git@github.com:22/someone/kit/",
    ],
)
def test_a_public_remote_gives_them_without_its_password(address: str) -> None:
    assert hatch_build.project_urls(address) == GITHUB


def test_on_another_host_only_the_repository_is_known() -> None:
    assert hatch_build.project_urls("git@code.example.org:group/sub/kit.git") == {
        "Source": "https://code.example.org/group/sub/kit",
        "Issues": "https://code.example.org/group/sub/kit/issues",
    }


@pytest.mark.parametrize(
    "address",
    [
        *("", "/srv/git/kit.git", "../kit", "file:///srv/git/kit.git", "git://github.com/someone/kit"),
        *("http://localhost:3000/kit.git", "http://127.0.0.1:8080/kit", "http://10.1.2.3/kit", "http://[::1]/kit"),
        *("git@gitbox:kit.git", "https://git.corp/kit", "https://nas.local/kit", "https://github.com/"),
        "https://[broken/kit",
    ],
)
def test_any_other_gives_none(address: str) -> None:
    assert hatch_build.project_urls(address) == {}


def metadata_of_a_clone(folder: Path, address: str, **environment: str) -> list[str]:
    """The addresses in the metadata of a wheel that is built in a clone whose remote is ``address``."""
    for command in (
        ["clone", "--quiet", "--depth=1", f"file://{ROOT}", folder / "clone"],
        ["-C", folder / "clone", "remote", "set-url", "origin", address],
    ):
        subprocess.run(["git", *command], check=True)
    # As they are here, committed or not.
    for name in ("pyproject.toml", "hatch_build.py"):
        (folder / "clone" / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(
        build, cwd=folder / "clone", env={"PATH": "/usr/bin:/bin", **environment}, check=True, capture_output=True
    )
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [name] = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        return BytesParser().parsebytes(archive.read(name)).get_all("Project-URL") or []


def test_a_clones_wheel_has_its_remotes(tmp_path: Path) -> None:
    found = metadata_of_a_clone(tmp_path, "https://me:token@github.com/someone/kit.git")
    assert sorted(found) == sorted(f"{label}, {url}" for label, url in GITHUB.items())


def test_the_variable_comes_before_the_remote(tmp_path: Path) -> None:
    found = metadata_of_a_clone(tmp_path, "/srv/git/kit", QNN_SD_PROJECT_URL="https://code.example.org/kit")
    assert "Source, https://code.example.org/kit" in found


def test_a_folder_without_git_has_none(tmp_path: Path) -> None:
    assert hatch_build.origin(tmp_path) == ""


def test_a_remote_that_may_be_somebodys_own_is_not_published(tmp_path: Path) -> None:
    """Its host and path may hold their name; whoever wants it there says so."""
    assert metadata_of_a_clone(tmp_path, "ssh://git@box.example.org/home/alice/kit.git") == []
