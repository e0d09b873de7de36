"""What the doctor says of the installed versions: caused by metadata that stands before the real one."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

from qnn_sd import health_checks, resources
from qnn_sd.health_checks import CheckResult, run_health_checks
from qnn_sd.installation import install, install_extra
from qnn_sd.toolchain import Toolchain, load_toolchains

KNOWN = load_toolchains()


class Installed:
    """Packages that seem to be installed, in a folder of their own.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        asked = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
        self.add("qnn-sd", "0.1.0", *asked, "nowhere-to-be-found>=1; extra == 'phone'")

    def add(self, name: str, version: str, *needs: str) -> None:
        folder = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (folder / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {need}" for need in needs)]) + "\n")

    def add_all(self, toolchain: Toolchain) -> None:
        for name, version in toolchain.packages.items():
            self.add(name, version)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return Installed(folder)


def toolchain(tmp_path: Path) -> CheckResult:
    return next(each for each in run_health_checks(tmp_path) if each.check == "toolchain")


def test_the_default_set_is_well(installed: Installed, tmp_path: Path) -> None:
    installed.add_all(KNOWN.chosen)
    found = toolchain(tmp_path)
    assert (found.status, found.advice) == ("ok", "")
    assert found.found == f"{KNOWN.chosen.title}; phone libraries: QAIRT 2.50.0"


@pytest.mark.parametrize(("name", "libraries"), [("2.48", "2.48.0"), ("2.49", "2.50.0")])
def test_an_older_set_is_a_choice_that_phones_have_libraries_for(
    name: str, libraries: str, installed: Installed, tmp_path: Path
) -> None:
    installed.add_all(next(each for each in KNOWN.sets if each.name == name))
    found = toolchain(tmp_path)
    assert found.status == "ok"
    assert found.found.endswith(f"phone libraries: QAIRT {libraries}")


def test_a_set_without_phone_libraries_is_warned_of(installed: Installed, tmp_path: Path) -> None:
    installed.add_all(KNOWN.sets[-1])
    found = toolchain(tmp_path)
    assert found.status == "warning"
    assert "no phone libraries are published for QAIRT 2.51.0" in found.found
    assert "bounds" not in found.found, "another set is a choice"
    assert KNOWN.chosen.install in found.advice


def test_versions_that_nobody_tried_together_are_named(installed: Installed, tmp_path: Path) -> None:
    installed.add("onnxruntime", "1.32.0")
    installed.add("onnxruntime-qnn", KNOWN.chosen.onnxruntime_qnn)
    found = toolchain(tmp_path)
    assert found.status == "warning"
    assert "onnxruntime 1.32.0 with onnxruntime-qnn 2.6.0 is none of the sets that were tried" in found.found
    assert "onnxruntime 1.32.0 (<1.28,>=1.27 is asked for)" in found.found
    assert KNOWN.chosen.install in found.advice


def test_a_package_outside_the_bounds_is_named(installed: Installed, tmp_path: Path) -> None:
    installed.add_all(KNOWN.chosen)
    installed.add("numpy", "3.0.0rc1")
    installed.add("click", "7.1.2")
    found = toolchain(tmp_path)
    assert found.status == "warning"
    assert "click 7.1.2 (<9,>=8.5 is asked for), numpy 3.0.0rc1 (<3,>=2.2 is asked for)" in found.found
    assert f"{install()}." in found.advice


def test_no_message_names_an_index_that_does_not_have_the_package() -> None:
    """An extra is installed from where the package came from, and one function says how."""
    for path in [*(ROOT / "qnn_sd").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        assert "qnn-sd[" not in path.read_text("utf-8"), path


def test_in_a_checkout_an_extra_is_installed_from_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert install_extra("phone") == "pip install '.[phone]'"
    monkeypatch.chdir(tmp_path)
    assert install_extra("phone") == f"pip install '{ROOT}[phone]'"
    assert install() == f"pip install {ROOT}"


def test_without_a_checkout_an_extra_is_installed_from_the_wheel(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resources, "PACKAGE", tmp_path / "site-packages" / "qnn_sd")
    wheel = tmp_path / "my downloads" / "qnn_sd-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"")
    origin = tmp_path / "site-packages" / "qnn_sd-0.1.0.dist-info" / "direct_url.json"
    origin.write_text(json.dumps({"url": wheel.as_uri(), "archive_info": {}}))
    assert install_extra("phone") == f"pip install '{wheel}[phone]'"
    # It was deleted since, or it came from somewhere else: the extra's own packages.
    wheel.unlink()
    assert install_extra("phone") == "pip install 'nowhere-to-be-found>=1'"
    assert install().startswith("pip install 'click<9,>=8.5' ")
    assert "nowhere-to-be-found" not in install()


def test_the_adb_server_is_named_where_it_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_checks, "adb_path", lambda: Path("/opt/adb"))
    monkeypatch.delenv("ANDROID_ADB_SERVER_PORT", raising=False)
    assert health_checks._adb().found == "/opt/adb"
    monkeypatch.setenv("ADB_SERVER_SOCKET", "tcp:172.20.64.1:5037")
    assert health_checks._adb().found == "/opt/adb, with the server at 172.20.64.1:5037"
