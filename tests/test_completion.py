"""Completion of commands, options and values, by click's protocol and in a real shell."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
from cli_here import CliHere
from conftest import ROOT

from qnn_sd import config
from qnn_sd.cli.app import cli
from qnn_sd.cli.completion import COMPLETE_VARIABLE, print_completion
from qnn_sd.generate.schedulers import all_names
from qnn_sd.targets.adb.client import listed_devices

SHELLS = ("bash", "zsh", "fish")


def offered(shell: str, *words: str) -> list[tuple[str, ...]]:
    """What is offered for the last word: type, value and remark, as far as the shell is told."""
    *before, incomplete = ("qnn-sd", *words)
    variables = {COMPLETE_VARIABLE: f"{shell}_complete"}
    if shell == "fish":
        variables |= {"COMP_WORDS": " ".join(before), "COMP_CWORD": incomplete}
    else:
        variables |= {"COMP_WORDS": " ".join([*before, incomplete]), "COMP_CWORD": str(len(before))}
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # click writes bytes
    with patch.dict(os.environ, variables), redirect_stdout(out):
        assert print_completion(cli) == 0
    out.seek(0)
    text = out.read()
    match shell:
        case "bash":
            return [tuple(line.split(",", 1)) for line in text.splitlines() if line]
        case "zsh":
            lines = text.split("\n")
            return list(zip(lines[0:-1:3], lines[1::3], lines[2::3], strict=False))
    rows = [line.split(",", 1) for line in text.splitlines() if line]
    return [(kind, *rest.split("\t", 1)) for kind, rest in rows]


def values(shell: str, *words: str) -> list[str]:
    return [each[1].replace("\\:", ":") for each in offered(shell, *words)]


@pytest.mark.parametrize("shell", SHELLS)
def test_names_are_offered(shell: str) -> None:
    assert values(shell, "run", "x", "--soc", "") == config.socs()
    assert values(shell, "compile", "--soc", "") == [*config.socs(), "all"]
    assert values(shell, "compile", "--soc", "sm8550,SM865") == ["sm8550,sm8650"]
    assert values(shell, "run", "--model", "") == config.models()
    assert values(shell, "run", "x", "--scheduler", "") == list(all_names())
    assert values(shell, "run", "x", "--sampler", "eu") == [each for each in all_names() if each.startswith("eu")]
    assert values(shell, "export", "--component", "vae") == ["vae_decoder", "vae_encoder"]
    assert values(shell, "bench", "--perf-mode", "bu") == ["burst"]
    assert values(shell, "compile", "--soc", "SM865") == ["sm8650"]
    assert "completion" in values(shell, "com")
    assert values(shell, "runtime", "f") == ["fetch"]
    assert "--scheduler" in values(shell, "run", "--sch")
    assert values(shell, "completion", "") == list(SHELLS)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_soc_is_offered_with_its_name(shell: str) -> None:
    assert ("plain", "sm8650", "Snapdragon 8 Gen 3") in offered(shell, "run", "x", "--soc", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_checkpoints_are_offered_and_folders(shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("dream.safetensors", "notes.txt", "other.safetensors"):
        Path(name).touch()
    (tmp_path / "models").mkdir()
    Path("models/deep.safetensors").touch()
    plain = [each[1] for each in offered(shell, "run", "x", "--checkpoint", "d") if each[0] == "plain"]
    assert plain == ["dream.safetensors"]
    assert values(shell, "run", "x", "--lora", "models/d") == ["models/d", "models/deep.safetensors"]
    assert offered(shell, "run", "x", "--vae", "")[0][0] == "dir"


@pytest.mark.parametrize("shell", SHELLS)
def test_files_are_the_shells(shell: str) -> None:
    assert [each[0] for each in offered(shell, "run", "x", "-o", "a")] == ["file"]
    assert [each[0] for each in offered(shell, "doctor", "--output", "")] == ["file"]


@pytest.fixture(params=["ANDROID_ADB_SERVER_PORT", "ADB_SERVER_SOCKET"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A port where an adb server may answer, named by each variable that adb reads."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = str(listening.getsockname()[1])
    monkeypatch.setenv(request.param, {"ADB_SERVER_SOCKET": f"tcp:{port}"}.get(request.param, port))
    return listening


def answer(server: socket.socket, text: bytes) -> threading.Thread:
    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            assert connection.recv(64) == b"000chost:devices"
            connection.sendall(text)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_devices_of_a_server_that_runs_are_offered(server: socket.socket) -> None:
    listed = b"R5CT1234ABC\tdevice\n127.0.0.1:5555\toffline\n"
    thread = answer(server, b"OKAY%04x%s" % (len(listed), listed))
    assert offered("fish", "run", "x", "--device", "") == [
        ("plain", "R5CT1234ABC", "device"),
        ("plain", "127.0.0.1:5555", "offline"),
    ]
    thread.join()
    server.close()


@pytest.mark.parametrize("text", [b"", b"FAIL0004nope", b"OKAYzzzz", b"OKAY0000"])
def test_a_server_that_answers_otherwise_has_none(text: bytes, server: socket.socket) -> None:
    thread = answer(server, text)
    assert listed_devices() == []
    thread.join()
    server.close()


def test_no_server_is_started(server: socket.socket) -> None:
    server.close()
    with patch("adbutils.AdbClient", side_effect=AssertionError("it starts a server")):
        assert offered("bash", "run", "x", "--device", "") == []


def test_a_server_that_hangs_is_not_waited_for(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts, and never answers."""
    assert listed_devices() == []
    server.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell: str, tmp_path: Path) -> None:
    here = CliHere(tmp_path, tmp_path)
    done = here("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert COMPLETE_VARIABLE in done.stdout
    assert "qnn-sd" in done.stdout
    assert here("completion", f"/usr/bin/{shell}").stdout == done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(tmp_path: Path) -> None:
    """Its own function, as Tab calls it."""
    program = tmp_path / "bin" / "qnn-sd"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qnn_sd "$@"\n')
    program.chmod(0o755)
    (tmp_path / "dream one.safetensors").touch()
    (tmp_path / "drafts").mkdir()
    script = """
        eval "$(qnn-sd completion bash)"
        compopt() { :; }
        tab() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _qnn_sd_completion qnn-sd
            printf '%s|' "${COMPREPLY[@]}"
            echo
        }
        tab qnn-sd compile --soc sm86
        tab qnn-sd dev
        tab qnn-sd run x --checkpoint dr
    """
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["sm8635|sm8650|", "devices|", "drafts|dream one.safetensors|"]
