"""What people read: tables that stay whole wherever they are printed, rows that move and leave nothing behind."""

from __future__ import annotations

import io
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from terminal import on_terminal, python

from qnn_sd import live_display
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.live_display import LiveDisplay


def test_a_narrow_terminal_cuts_no_word_of_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = [f"down_blocks.{number}.attentions.0.transformer_blocks.0.attn1.to_out.0" for number in range(3)]
    Console().table(["block", "device", "ms"], [[name, "127.0.0.1:5755", 1.5] for name in names])
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    assert printed.count("127.0.0.1:5755") == 3
    assert "…" not in printed


ROWS = """
import sys, time
from qnn_sd.console import Console
console = Console()
with console.working("stage 4 of 19", None, lambda _: "92 min left, memory 2.1 GB, disk 6.0 GB"):
    title = "generating on cpu, a title of many words"
    with console.working("quantize sd15.unet", lambda took: took / 30), console.progress(title, 8) as bar:
        for number in range(8):
            bar.doing("unet")
            time.sleep(0.2)
            bar.advance("2.29 s a step")
            if number in (3, 6):
                console.result(f"out-{number}.png (seed {number})")
                console.warn("w" * 100)
                console.table(["component", "ms"], [["unet", 1.5]])
console.result("done")
"""
# What remains of them: every line that was printed, and no other.
REMAINING = [
    *[
        line
        for number in (3, 6)
        for line in (f"out-{number}.png (seed {number})", "W", "component   ms", "unet       1.5")
    ],
    "done",
]


@pytest.mark.parametrize("columns", [80, 40, 200])
def test_what_is_printed_beside_moving_rows_stays_and_the_rows_go(columns: int, tmp_path: Path) -> None:
    shown = on_terminal(python(ROWS), tmp_path, {}, columns=columns)
    assert shown.code == 0, shown.printed
    # The terminal wraps what is longer than it is wide.
    joined = "\n".join(shown.screen).replace("w\nw", "ww").replace("warning: " + "w" * 100, "W").splitlines()
    assert joined == REMAINING


def test_rows_are_spelled_in_what_the_terminal_knows(tmp_path: Path) -> None:
    shown = on_terminal(python(ROWS), tmp_path, {"PYTHONIOENCODING": "ascii"})
    assert "92 min left" in shown.printed
    assert "\\u" not in shown.printed
    assert shown.printed.isascii()
    assert shown.screen[-1] == "done"


def test_rows_move_while_nothing_is_counted_and_say_what_is_left(tmp_path: Path) -> None:
    printed = on_terminal(python(ROWS), tmp_path, {}).printed
    assert "92 min left, memory 2.1 GB, disk 6.0 GB" in printed
    assert "8/8" not in printed.split("done")[-1]
    # The first row never advances: what moves is its spinner, drawn by a thread, and the time.
    spinners = set(re.findall(r"([⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏])", printed))
    assert len(spinners) >= 5
    assert {"0:00:00", "0:00:01"} <= set(re.findall(r"\d:\d\d:\d\d", printed))


def test_a_result_goes_to_stdout_while_rows_move_on_the_terminal(tmp_path: Path) -> None:
    shown = on_terminal(python(ROWS), tmp_path, {}, piped=True)
    assert [line for line in shown.out.splitlines() if line.startswith("out")] == [
        f"out-{number}.png (seed {number})" for number in (3, 6)
    ]
    assert "out-3" not in shown.printed
    assert [line for line in shown.screen if "w" * 20 not in line] == []


def test_a_log_has_no_control_sequences_and_one_line_for_each_bar(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        python(ROWS), cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr.splitlines()[0] == "generating on cpu, a title of many words (8)"
    assert len(done.stderr.splitlines()) == 3


BLOCKED = """
import time
from pathlib import Path
from qnn_sd.console import Console
from qnn_sd.session_loading import loading
console = Console()
with console.working("quantize sd15.unet"), loading(Path("unet") / "model.onnx"):
    ends = time.monotonic() + 1.5
    import ctypes
    # As ONNX Runtime does: no other thread of Python runs meanwhile.
    ctypes.PyDLL(None).usleep(1_500_000)
console.result("done")
"""


def test_a_line_moves_while_a_large_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "model.onnx").touch()
    with (tmp_path / "unet" / "weights.bin").open("wb") as file:
        file.truncate(3_400_000_000)
    shown = on_terminal(python(BLOCKED), tmp_path, {})
    assert shown.code == 0, shown.printed
    assert len(set(re.findall(r"[|/\\-] loading unet \(3.4 GB\) 0:00:0\d", shown.printed))) >= 4
    assert shown.screen == ["done"]


class Shown(Console):
    """A console that counts the rows of bytes that it shows, on a clock that is set by hand."""

    shows_rows = True

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.now, self.rows = 0.0, []
        monkeypatch.setattr(live_display.time, "monotonic", lambda: self.now)

    @property
    def _display(self) -> LiveDisplay:
        display = LiveDisplay(io.StringIO())
        row = display.row

        def counted(title: str, *rest: Any) -> Any:
            self.rows.append((title, *rest[1:]))
            return row(title, *rest)

        display.row = counted
        return display


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, False), (0.08, False), (0.15, True), (5.0, True)])
def test_a_bar_of_bytes_comes_where_the_rest_takes_a_second(
    seconds: float, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten pieces of so many seconds each."""
    console = Shown(monkeypatch)
    with console.reading("reading", 1_000) as on_bytes:
        for _ in range(10):
            console.now += seconds
            on_bytes(100)
    assert len(console.rows) == shown


def test_a_bar_of_bytes_counts_what_came_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Shown(monkeypatch)
    with console.reading("reading", 1_000) as on_bytes:
        on_bytes(300)
        console.now += 2.0
        on_bytes(100)
    assert console.rows == [("reading", 1_000, 400)]


EARLY = """
import select, sys
print("reading", flush=True)
assert select.select([sys.stdin], [], [], 60)[0]
"""


def test_what_was_typed_before_the_question_is_no_answer(tmp_path: Path) -> None:
    shown = on_terminal(python(EARLY + ASKED), tmp_path, {}, [("reading", b"y\n"), ("[y/N] ", b"n\n")])
    assert shown.screen[-1] == "no"


ASKED = """
import sys
from qnn_sd.console import Console
console = Console()
print("can ask" if console.can_ask else "can't ask")
print("yes" if console.ask("Go on?") else "no")
"""


@pytest.mark.parametrize(
    ("typed", "answer"), [(b"y\n", "yes"), (b"Yes\n", "yes"), (b"n\n", "no"), (b"\n", "no"), (b"\x04", "no")]
)
def test_only_yes_is_yes(typed: bytes, answer: str, tmp_path: Path) -> None:
    shown = on_terminal(python(ASKED), tmp_path, {}, [("[y/N] ", typed)])
    assert shown.screen[0] == "can ask"
    assert shown.screen[-1] == answer


def test_control_characters_of_a_strangers_file_are_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    hostile = "a\x1b[2J\x1b]0;title\x07b\x9bc\u202ed"
    console.error(SettingError(hostile, why=hostile, hint=hostile))
    console.result(hostile)
    console.table(["name"], [[hostile]])
    out, err = capsys.readouterr()
    assert not set(out + err) & set("\x1b\x07\x9b\u202e")
    assert out.startswith("a?[2J?]0;title?b?c")
