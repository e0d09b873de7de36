"""Builds that go on where an earlier one was killed, interrupted or failed."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from qnn_sd.artifact import MANIFEST, Recipe, artifact_folder, load, load_or_build
from qnn_sd.errors import OutputError, QuantizeError

RECIPE = Recipe("calibrate", "model", {"unet": "ab"}, {"steps": 4}, {"tool": "1"})
PIECES = ("0", "1", "2", "3")

# Makes the pieces that aren't there; before the third it says so and waits to be ended.
CHILD = f"""
import sys, time
from pathlib import Path
from test_resumable import RECIPE, in_pieces
from qnn_sd.artifact import load_or_build
from qnn_sd.output_files import written_aside

def stuck(piece, folder):
    if piece == "2":
        with written_aside(folder / "half.bin") as aside:
            aside.write_bytes(b"half")
            (folder / "{MANIFEST}").write_text("of a build that was killed before it could rename")
            print("between pieces", flush=True)
            sys.stdin.read()

load_or_build(Path(sys.argv[1]), RECIPE, lambda folder: in_pieces(folder, stuck), resumable=True)
"""


def in_pieces(folder: Path, before: Callable[[str, Path], None] = lambda _piece, _folder: None) -> dict[str, int]:
    """Makes a file a piece, and says how many were there."""
    there = [piece for piece in PIECES if (folder / piece).exists()]
    for piece in PIECES:
        if piece not in there:
            before(piece, folder)
            (folder / piece).write_bytes(piece.encode() * 100)
    return {"there": len(there)}


def hidden(root: Path) -> list[str]:
    """Names of what builders left beside the artifacts."""
    return sorted(path.name for path in root.rglob(".*"))


def ended_between_pieces(root: Path, by: signal.Signals) -> None:
    """A child process that a signal ends after two of its pieces."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == b"between pieces\n"
    child.send_signal(by)
    assert child.wait(60) != 0
    child.stdout.close()
    child.stdin.close()


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_was_ended_goes_on(by: signal.Signals, tmp_path: Path) -> None:
    ended_between_pieces(tmp_path, by)
    assert not artifact_folder(tmp_path, RECIPE).exists()
    [left] = (tmp_path / RECIPE.stage).iterdir()
    assert left.name.endswith(".resumable")
    made = load_or_build(tmp_path, RECIPE, in_pieces, resumable=True)
    assert made.metadata == {"there": 2}
    undisturbed = load_or_build(tmp_path / "other", RECIPE, in_pieces, resumable=True)
    found = {path.name: path.read_bytes() for path in made.folder.iterdir() if path.name != MANIFEST}
    assert found == {path.name: path.read_bytes() for path in undisturbed.folder.iterdir() if path.name != MANIFEST}
    assert load(made.folder).key == RECIPE.key
    assert hidden(tmp_path) == []


def test_another_recipe_never_finds_it(tmp_path: Path) -> None:
    ended_between_pieces(tmp_path, signal.SIGKILL)
    for other in (replace(RECIPE, inputs={"unet": "cd"}), replace(RECIPE, settings={"steps": 5})):
        assert load_or_build(tmp_path, other, in_pieces, resumable=True).metadata == {"there": 0}


def test_a_build_that_fails_keeps_what_was_finished(tmp_path: Path) -> None:
    def fails(piece: str, _folder: Path) -> None:
        if piece == "3":
            raise QuantizeError("no", hint="try")

    with pytest.raises(QuantizeError):
        load_or_build(tmp_path, RECIPE, lambda folder: in_pieces(folder, fails), resumable=True)
    assert load_or_build(tmp_path, RECIPE, in_pieces, resumable=True).metadata == {"there": 3}


def test_of_two_at_once_one_waits(tmp_path: Path) -> None:
    """It says so, and takes what the other one made."""
    waits, said, results = threading.Event(), [], []

    def first(folder: Path) -> dict[str, int]:
        second.start()
        assert waits.wait(60), "nobody waits"
        return in_pieces(folder)

    def tell(line: str) -> None:
        said.append(line)
        waits.set()

    def never(_folder: Path) -> dict[str, int]:
        raise AssertionError("built twice")

    second = threading.Thread(
        target=lambda: results.append(load_or_build(tmp_path, RECIPE, never, resumable=True, report=tell))
    )
    made = load_or_build(tmp_path, RECIPE, first, resumable=True)
    second.join(60)
    assert [(result.folder, result.cached) for result in results] == [(made.folder, True)]
    assert len(said) == 1
    assert "waiting" in said[0]
    assert hidden(tmp_path) == []


def test_who_waited_for_a_build_that_failed_goes_on_there(tmp_path: Path) -> None:
    waits, results = threading.Event(), []

    def fails(piece: str, _folder: Path) -> None:
        if piece == "2":
            second.start()
            assert waits.wait(60), "nobody waits"
            raise KeyboardInterrupt

    second = threading.Thread(
        target=lambda: results.append(
            load_or_build(tmp_path, RECIPE, in_pieces, resumable=True, report=lambda _line: waits.set())
        )
    )
    with pytest.raises(KeyboardInterrupt):
        load_or_build(tmp_path, RECIPE, lambda folder: in_pieces(folder, fails), resumable=True)
    second.join(60)
    assert [result.metadata for result in results] == [{"there": 2}]


def test_what_nobody_comes_back_to_is_swept(tmp_path: Path) -> None:
    """After a week without a change, unless somebody is at it."""
    stage = tmp_path / RECIPE.stage
    ages = {"six-days": 6, "eight-days": 8, "at-it": 8, "changed-inside": 8}
    for name, days in ages.items():
        folder = stage / f".{name}.resumable"
        folder.mkdir(parents=True)
        (folder / "piece").write_bytes(b"whole")
        then = time.time() - days * 24 * 3600
        for path in (folder / "piece", folder):
            os.utime(path, (then, then))
    os.utime(stage / ".changed-inside.resumable" / "piece")
    holder = os.open(stage / ".at-it.resumable", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    load_or_build(tmp_path, RECIPE, in_pieces)
    os.close(holder)
    assert hidden(tmp_path) == [".at-it.resumable", ".changed-inside.resumable", ".six-days.resumable"]


def test_a_cache_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network file systems are: two builders would mix their files."""

    def without(_handle: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without)
    with pytest.raises(OutputError, match="Can't write") as caught:
        load_or_build(tmp_path, RECIPE, in_pieces, resumable=True)
    assert "QNN_SD_CACHE" in caught.value.hint
    assert not load_or_build(tmp_path, RECIPE, in_pieces).cached
