"""Ctrl-C, SIGTERM and SIGHUP: answered at once, whatever the command does, with nothing left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, Cli, json_document

# Holds Python's interpreter lock, as ONNX Runtime does while it opens a session.
HELD = """
import ctypes, sys, time
from qnn_sd import interruption
library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
library.pthread_mutex_lock(mutex)
until = (ctypes.c_long * 2)(int(time.time()) + int(sys.argv[1]), 0)
interruption.install()
print("held", flush=True)
try:
    library.pthread_mutex_timedlock(mutex, until)  # which a signal doesn't end
    interruption.begin()
    print("over", flush=True)
except KeyboardInterrupt as stopped:
    print("raised", stopped.number, flush=True)
"""
FOREVER, A_SECOND = "3600", "2"
# A graph that never ends by itself: a loop whose condition stays true.
ENDLESS = """
import onnx, sys
from onnx import TensorProto, helper
from qnn_sd import interruption, reference
interruption.install()
scalar = lambda name, kind: helper.make_tensor_value_info(name, kind, [])
body = helper.make_graph(
    [helper.make_node("Identity", ["go_on"], ["still"]), helper.make_node("Sin", ["x"], ["y"])], "body",
    [scalar("n", TensorProto.INT64), scalar("go_on", TensorProto.BOOL), scalar("x", TensorProto.FLOAT)],
    [scalar("still", TensorProto.BOOL), scalar("y", TensorProto.FLOAT)])
graph = helper.make_graph([helper.make_node("Loop", ["", "start", "given"], ["found"], body=body)], "endless",
    [scalar("start", TensorProto.BOOL), scalar("given", TensorProto.FLOAT)], [scalar("found", TensorProto.FLOAT)])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
model.ir_version = 10
session = reference.reference_session(model)
import numpy as np
try:
    interruption.begin()
    print("running", flush=True)
    interruption.run_session(session, None, {"start": np.array(True), "given": np.float32(1)})
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
# Sends a signal to the command while it imports its modules.
WHILE_IMPORTING = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), number)
number = int(sys.argv.pop(1))
sys.meta_path.insert(0, Finder())
from qnn_sd.cli import console_script
console_script()
"""


def started(script: str, *arguments: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_answered_while_python_cannot_run(number: signal.Signals) -> None:
    with started(HELD, FOREVER) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(number)
        # An hour before Python's own handler could run.
        again = "Ctrl-C" if number == signal.SIGINT else number.name
        assert process.stderr.readline() == f"stopping after this call; {again} again ends at once\n"
        process.send_signal(number)
        assert process.wait(60) == -number
        assert process.stdout.read() == ""


def test_another_signal_ends_it_at_once_too() -> None:
    with started(HELD, FOREVER) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stderr.readline()
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == -signal.SIGKILL


def test_after_the_call_it_is_raised_once() -> None:
    with started(HELD, A_SECOND) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (out, err) == ("raised 15\n", "stopping after this call; SIGTERM again ends at once\n")
        assert process.returncode == 0


def test_a_run_on_the_cpu_ends_between_two_nodes() -> None:
    with started(ENDLESS) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert out == "stopped\n", err
    assert "Traceback" not in err


def test_what_the_parent_ignores_stays_ignored() -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with started(HELD, A_SECOND, preexec_fn=ignore) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.communicate(timeout=60) == ("over\n", "")


@pytest.mark.parametrize(
    ("number", "code", "name"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGHUP, 129, "HungUp")]
)
def test_a_signal_while_modules_are_imported_is_a_document(number: signal.Signals, code: int, name: str) -> None:
    with started(WHILE_IMPORTING, str(int(number)), "doctor", "--json") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    error = json_document(out)["error"]
    assert (error["code"], error["name"]) == (code, name)
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "interrupted. Type the same line again; it begins anew."


@pytest.mark.parametrize(("closed", "code"), [("0<&- 2>&-", 0), ("0<&- 1>&-", 30), ("0<&- 1>&- 2>&-", 30)])
def test_descriptors_that_the_parent_closed_are_not_the_guardians(closed: str, code: int) -> None:
    """A pipe that got one of their numbers was kept open for good, and what was printed went into it."""
    mark = f"{os.getpid()}-{closed}"
    line = f"{sys.executable} -m qnn_sd docs {closed}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QNN_SD_MARK": mark}
    command = ["bash", "-c", line]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    ends = time.monotonic() + 20
    while left := processes_with(f"QNN_SD_MARK={mark}"):
        assert time.monotonic() < ends, f"{left} goes on without its command"


def processes_with(entry: str) -> list[str]:
    """Numbers of the processes that have an entry in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if entry.encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
    return found


def test_a_command_that_is_ended_while_verifying_leaves_no_folder(own_cache: Path, tmp_path: Path) -> None:
    for verified in (own_cache / "verify").glob("*.sm8650-*"):
        shutil.rmtree(verified)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = Cli(own_cache, tmp_path)
    with command.start("run", "a red circle", environment={"TMPDIR": str(temporary)}) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            # By then a child has been started and its inputs are written, or are just being.
            if "verifying on the emulator" in line:
                process.terminate()
                break
        said += process.stderr.read()
        process.wait(60)
    assert process.returncode == 143, said
    assert "Traceback" not in said
    assert "interrupted. Kept: " in said
    assert not list(temporary.iterdir())
    assert not list((own_cache / "verify").glob(".*.part"))
