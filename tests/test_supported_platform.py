"""On a system where nothing runs, the first command says so in one sentence, without the packages that are missing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT, json_document

from qnn_sd.errors import PlatformError

# What isn't there: POSIX's modules on Windows, the packages whose requirement has a marker elsewhere.
ELSEWHERE = """
import platform, sys
sys.modules |= dict.fromkeys(["fcntl", "resource", "onnxruntime", "onnxruntime_qnn"])
system, machine = sys.argv[1:3]
del sys.argv[1:3]
import signal, qnn_sd.cli
sys.platform, platform.machine = system, lambda: machine
qnn_sd.cli.console_script()
"""


def typed_on(system: str, machine: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ELSEWHERE, system, machine, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("system", "machine", "named", "page"),
    [
        ("darwin", "arm64", "macOS (arm64)", "macos.md"),
        ("darwin", "x86_64", "macOS (x86_64)", "macos.md"),
        ("win32", "AMD64", "Windows (AMD64)", "windows.md"),
        ("win32", "ARM64", "Windows (ARM64)", "windows.md"),
        ("linux", "aarch64", "Linux (aarch64)", ""),
        ("freebsd14", "amd64", "freebsd14 (amd64)", ""),
    ],
)
def test_it_is_said_at_the_first_command(system: str, machine: str, named: str, page: str) -> None:
    done = typed_on(system, machine, "run", "a red circle")
    assert (done.returncode, done.stdout) == (PlatformError.exit_code, "")
    what, why, hint = done.stderr.splitlines()
    assert what == f"error: qnn-sd doesn't run on {named}."
    assert "It needs Linux on x86-64" in why
    if page:
        assert str(ROOT / "docs" / page) in hint
        assert (ROOT / "docs" / page).is_file()


def test_a_script_gets_a_document() -> None:
    done = typed_on("darwin", "arm64", "compile", "--json")
    error = json_document(done.stdout)["error"]
    assert (error["code"], error["name"]) == (8, "PlatformError")
    assert error["what"] in done.stderr


def test_nothing_is_refused_where_it_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qnn_sd", "--version"], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
