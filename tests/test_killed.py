"""The quantizing command, ended at the worst moments one after the other: it goes on and ends with the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

from qnn_sd.artifact import MANIFEST, sha256_of_file
from qnn_sd.pipeline import BuildPipeline

COMPONENT = "text_encoder"
# Does something when a function is called for the nth time, before it does anything.
ENDED = """
import importlib, os, resource, signal, sys
module, name, at, how, *arguments = sys.argv[1:]
owner = importlib.import_module(module)
*path, name = name.split(".")
for each in path:
    owner = getattr(owner, each)
real, calls = getattr(owner, name), [0]
def wrapped(*given, **named):
    calls[0] += 1
    if calls[0] == int(at):
        if how == "disk full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        else:
            os.kill(os.getpid(), signal.Signals[how])
    return real(*given, **named)
setattr(owner, name, wrapped)
from qnn_sd.cli import console_script
sys.argv[1:] = arguments
console_script()
"""
RECORDING = ("qnn_sd.quantize.calibration.record", "write_unit", 6)
ROUNDING = ("qnn_sd.quantize.adaround.sequence", "_save", 4)
RUNNING = ("qnn_sd.quantize.adaround.segments", "_SegmentRunner._run", 3)
# The first graph that is written is the one to be rounded, the second the result.
WRITING = ("qnn_sd.quantize.qdq_writer", "QdqWriter._save", 2)


def ended(cache: Path, moment: tuple[str, str, int], how: str) -> subprocess.CompletedProcess[str]:
    """Quantizes until a moment, at which it is ended: by a signal, or a disk that takes no more."""
    module, name, at = moment
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QNN_SD_CACHE": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", ENDED, module, name, str(at), how, "quantize", "--component", COMPONENT],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in files}


def test_ended_at_any_moment_it_goes_on_to_the_same_bytes(pipeline: BuildPipeline, tmp_path: Path) -> None:
    undisturbed = {"calibrate": pipeline.calibration(), "quantize": pipeline.quantize(COMPONENT)}
    for component in ("text_encoder", "unet", "vae_decoder"):
        made = pipeline.export(component).folder
        shutil.copytree(made, tmp_path / "export" / made.name)
    for moment, how, status, left in (
        (RECORDING, "SIGKILL", -signal.SIGKILL, "calibrate/.*.resumable/0003"),
        (RECORDING, "disk full", 30, "calibrate/.*.resumable/0008"),
        (ROUNDING, "SIGKILL", -signal.SIGKILL, "quantize/.*.resumable/.rounding/group-00002.npz"),
        (RUNNING, "disk full", 30, "quantize/.*.resumable/.rounding/group-00002.npz"),
        (ROUNDING, "SIGINT", 130, "quantize/.*.resumable/.rounding/group-00005.npz"),
        (WRITING, "SIGKILL", -signal.SIGKILL, "quantize/.*.resumable/weights.bin"),
    ):
        done = ended(tmp_path, moment, how)
        assert done.returncode == status, (moment, how, done.stderr)
        assert "Traceback" not in done.stderr
        assert how != "disk full" or "File too large" in done.stderr
        assert list(tmp_path.glob(left)), (moment, how, sorted(tmp_path.glob("*/.*/*")))
        stage = Path(left).parts[0]
        assert not (tmp_path / stage / undisturbed[stage].folder.name).exists(), "nothing looks finished"
    # Never reached: it runs to its end.
    done = ended(tmp_path, (WRITING[0], WRITING[1], 3), "SIGKILL")
    assert done.returncode == 0, done.stderr
    for stage, expected in undisturbed.items():
        assert hashes(tmp_path / stage / expected.folder.name) == hashes(expected.folder)
