"""A command on a terminal of its own: what is typed into it, and what stands on its screen."""

from __future__ import annotations

import codecs
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT

_CONTROL = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


class Screen:
    """What a terminal shows, as far as our output needs it: text, new lines, cursor up, erased lines.

    Args:
        columns: its width.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._lines = [[" "] * columns]
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Prints text.

        Raises:
            ValueError: a control sequence that isn't known here.
        """
        place = 0
        while place < len(text):
            if text[place] == "\x1b":
                match = _CONTROL.match(text, place)
                if match is None:
                    raise ValueError(repr(text[place : place + 10]))
                self._control(match[1], match[2])
                place = match.end()
                continue
            self._put(text[place])
            place += 1

    def _control(self, arguments: str, kind: str) -> None:
        match kind:
            case "A":
                self._row = max(0, self._row - int(arguments or 1))
            case "K":
                start = 0 if arguments == "2" else self._column
                self._lines[self._row][start:] = [" "] * (self._columns - start)
            case "m" | "h" | "l":  # colours; the cursor shown and hidden
                pass
            case _:
                raise ValueError(f"{arguments}{kind}")

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
            return
        if character == "\n" or self._column == self._columns:
            self._row += 1
            if character != "\n":
                self._column = 0
            if self._row == len(self._lines):
                self._lines.append([" "] * self._columns)
        if character != "\n":
            self._lines[self._row][self._column] = character
            self._column += 1

    @property
    def lines(self) -> list[str]:
        """All lines, those that have left the screen at its top included."""
        return ["".join(line).rstrip() for line in self._lines]


@dataclass(frozen=True)
class Shown:
    """What came of a command on a terminal.

    Attributes:
        code: its exit code.
        printed: all that it wrote to the terminal, control sequences included.
        columns: the terminal's width.
        out: what it wrote to stdout where that was no terminal.
    """

    code: int
    printed: str
    columns: int
    out: str = ""

    @property
    def screen(self) -> list[str]:
        """What stands there at the end, without empty lines."""
        screen = Screen(self.columns)
        screen.feed(self.printed)
        return [line for line in screen.lines if line]


def on_terminal(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    answers: Sequence[tuple[str, bytes]] = (),
    columns: int = 80,
    piped: bool = False,
) -> Shown:
    """Runs a command whose stdin, stdout and stderr are a terminal of 24 rows.

    Args:
        command: what to run.
        folder: where.
        environment: of the process, beside this one's.
        answers: what is typed as soon as a text stands there, one after the other.
        columns: of the terminal.
        piped: whether stdout is a pipe instead.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    given = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**given, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment},
        stdin=theirs,
        stdout=subprocess.PIPE if piped else theirs,
        stderr=theirs,
        start_new_session=True,
        # Its terminal is this one: what Ctrl-C is sent to.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (this process has no thread that forks)
    )
    os.close(theirs)
    printed, left, seen = "", list(answers), 0
    # A character may come in two pieces.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    ends = time.monotonic() + 500
    try:
        while time.monotonic() < ends:
            if not select.select([ours], [], [], 1.0)[0]:
                continue
            try:
                found = os.read(ours, 1 << 16)
            except OSError:  # the last one who had it open has ended
                break
            if not found:
                break
            printed += decoder.decode(found)
            if left and left[0][0] in printed[seen:]:
                seen = len(printed)
                os.write(ours, left.pop(0)[1])
        out = process.stdout.read().decode("utf-8") if process.stdout is not None else ""
        return Shown(process.wait(60), printed, columns, out)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def python(code: str) -> list[str]:
    """The command line of a piece of Python."""
    return [sys.executable, "-c", code]
