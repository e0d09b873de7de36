"""What a person sees: a command on a terminal of 80x24, with typed answers; and the same in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from codecs import getincrementaldecoder
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

COLUMNS, LINES = 80, 24
CTRL_C = "\x03"
_LIMIT_SECONDS = 150.0
# ECMA-48: CSI with parameters and a final byte; OSC up to BEL or ST; any other escape of one character.
_ESCAPE = re.compile(r"\x1b(?:\[([0-?]*)[ -/]*([@-~])|\]([^\x07\x1b]*)(?:\x07|\x1b\\)|([^\[\]]))")
# The session's own terminal, so that Ctrl-C reaches it.
_WITH_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp("bash", ["bash", "-c", sys.argv[1]])
"""
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?)?\Z")


@dataclass(frozen=True)
class Seen:
    """What a command left before a person's eyes.

    Attributes:
        code: its exit code, as a shell has it.
        text: all that can be read afterwards, scrolled up included; stdout and stderr as they came on a terminal,
            stdout before stderr in pipes.
        out: stdout alone; of a terminal all of it.
        raw: what was written, with its escapes.
    """

    code: int
    text: str
    out: str
    raw: str

    @property
    def lines(self) -> list[str]:
        """The text's lines, without spaces at their ends."""
        return self.text.splitlines()


class Screen:
    """A terminal's screen, as far as progress bars and colours use it; unknown escapes are an error.

    Args:
        columns: of a line.
        lines: of the screen; what scrolls out of it stays readable.
    """

    def __init__(self, columns: int = COLUMNS, lines: int = LINES) -> None:
        self._columns, self._lines = columns, lines
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0
        self._left = ""

    @property
    def text(self) -> str:
        """All lines, also those that scrolled up."""
        return "\n".join("".join(row).rstrip() for row in self._rows).rstrip("\n")

    @property
    def _top(self) -> int:
        """The row that is the screen's first."""
        return max(0, len(self._rows) - self._lines)

    def feed(self, text: str) -> None:
        """Shows what a program wrote; an escape may be cut at the end."""
        text = self._left + text
        begun = _BEGUN.search(text)
        self._left = text[begun.start() :] if begun else ""
        text = text[: begun.start()] if begun else text
        place = 0
        while place < len(text):
            if text[place] == "\x1b":
                match = _ESCAPE.match(text, place)
                assert match is not None, f"an escape that isn't known: {text[place : place + 20]!r}"
                if match[2]:
                    self._control(match[1], match[2])
                place = match.end()
            else:
                self._put(text[place])
                place += 1

    def _put(self, character: str) -> None:
        match character:
            case "\n":
                self._down(1)
            case "\r":
                self._column = 0
            case "\b":
                self._column = max(0, self._column - 1)
            case "\t":
                self._column = min(self._columns - 1, self._column // 8 * 8 + 8)
            case _ if character.isprintable():
                if self._column == self._columns:
                    self._column = 0
                    self._down(1)
                row = self._rows[self._row]
                row.extend(" " * (self._column + 1 - len(row)))
                row[self._column] = character
                self._column += 1

    def _down(self, count: int) -> None:
        self._row += count
        while len(self._rows) <= self._row:
            self._rows.append([])

    def _control(self, parameters: str, final: str) -> None:
        if parameters.startswith("?") or final in "mhl":
            return  # colours, a cursor that is hidden
        numbers = [int(each or 0) for each in parameters.split(";")] if parameters else [0]
        first = max(numbers[0], 1)
        match final:
            case "A":
                self._row = max(self._top, self._row - first)
            case "B":
                self._row = min(len(self._rows) - 1, self._row + first)
            case "C":
                self._column = min(self._columns - 1, self._column + first)
            case "D":
                self._column = max(0, self._column - first)
            case "G":
                self._column = min(self._columns, first) - 1
            case "H":
                self._row, self._column = self._top, 0
                self._down(first - 1)
                self._column = max(numbers[1], 1) - 1 if len(numbers) > 1 else 0
            case "K":
                self._erase_line(numbers[0])
            case "J":
                assert numbers[0] in (0, 2), "only what is below, or all, is erased"
                self._erase_line(0)
                for row in self._rows[self._row + 1 if numbers[0] == 0 else self._top :]:
                    row.clear()
            case _:
                raise AssertionError(f"an escape that isn't known: {parameters}{final}")

    def _erase_line(self, part: int) -> None:
        row = self._rows[self._row]
        if part == 0:
            del row[self._column :]
        elif part == 1:
            row[: self._column + 1] = " " * min(len(row), self._column + 1)
        else:
            row.clear()


def on_terminal(
    line: str, folder: Path, environment: Mapping[str, str], answers: Sequence[tuple[str, str]] = ()
) -> Seen:
    """Types a command line into bash on a terminal.

    Args:
        line: the command line.
        folder: where it runs.
        environment: its variables; the terminal's are set here.
        answers: what is typed as soon as a text shows on the screen, in this order; ``CTRL_C`` is Ctrl-C.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    hidden = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
    kept = {name: value for name, value in environment.items() if name not in hidden}
    with subprocess.Popen(
        [sys.executable, "-c", _WITH_TERMINAL, line],
        cwd=folder,
        env=kept | {"TERM": "xterm-256color", "PAGER": "cat"},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    ) as process:
        os.close(its)
        try:
            screen, raw = _watched(ours, answers)
            code = process.wait(timeout=_LIMIT_SECONDS)
        except BaseException:
            process.kill()
            raise
        finally:
            os.close(ours)
    return Seen(code if code >= 0 else 128 - code, screen.text, screen.text, raw)


def _watched(terminal: int, answers: Sequence[tuple[str, str]]) -> tuple[Screen, str]:
    """Reads until the command has closed its end, and types the answers."""
    screen, raw, left = Screen(), "", list(answers)
    decoder = getincrementaldecoder("utf-8")()
    answered = 0
    deadline = time.monotonic() + _LIMIT_SECONDS
    while True:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"still running after {_LIMIT_SECONDS:.0f} s:\n{screen.text}"
        data = b""
        # Linux: EIO when the other end is closed.
        with suppress(OSError):
            data = os.read(terminal, 1 << 16)
        if not data:
            assert not left, f"never asked: {left[0][0]!r}\n{screen.text}"
            return screen, raw
        text = decoder.decode(data)
        raw += text
        screen.feed(text)
        if left and left[0][0] in _plain(raw[answered:]):
            os.write(terminal, left.pop(0)[1].encode())
            answered = len(raw)


def _plain(raw: str) -> str:
    return _ESCAPE.sub("", raw)


def in_pipe(line: str, folder: Path, environment: Mapping[str, str]) -> Seen:
    """Types a command line into bash where stdout and stderr are pipes, and nobody answers.

    Args:
        line: the command line.
        folder: where it runs.
        environment: its variables.
    """
    hidden = ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE")
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={name: value for name, value in environment.items() if name not in hidden},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    both = done.stdout + done.stderr
    return Seen(done.returncode if done.returncode >= 0 else 128 - done.returncode, both, done.stdout, both)
