"""What people and scripts read: results on stdout, everything else on stderr.

With ``--json`` stdout carries one JSON document and nothing else. Progress needs a terminal;
without one (a log, a CI run) each piece of work says one line when it starts.

A remark that can't be written is nobody's loss; a result that can't be is a failure (``cli/stdout.py``).
"""

from __future__ import annotations

import json
import re
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Protocol

from rich.console import Console as RichConsole

from qnn_sd.errors import QnnSdError
from qnn_sd.kept import Kept
from qnn_sd.live_display import LateRow, LiveDisplay, Row, by_elapsed, bytes_state, count_state, elapsed_state
from qnn_sd.schemas import Document
from qnn_sd.table_layout import print_table

# Of C0 and C1, all but the tab and the line's end.
# Also what turns the direction of the text around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def json_text(value: object) -> str:
    """A document as ``--json`` prints it: plain JSON values, indented, with a line's end."""
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _shown(text: str) -> str:
    """Text without control characters: a stranger's file may bring some, and a terminal would obey them."""
    return _CONTROL.sub("?", text)


def one_decimal(value: float) -> str:
    """A number as most tables have it."""
    return f"{value:,.1f}"


class Bar(Protocol):
    """One running piece of work."""

    def advance(self, note: str = "") -> None:
        """Counts one step and shows ``note`` beside the bar."""

    def doing(self, what: str) -> None:
        """Shows what the next step consists of."""


class _Quiet:
    def advance(self, note: str = "") -> None:
        """Nobody looks."""

    def doing(self, what: str) -> None:
        """Nobody looks."""


class _RowBar:
    def __init__(self, row: Row, title: str) -> None:
        self._row, self._title, self._what, self._note = row, title, "", ""

    def advance(self, note: str = "") -> None:
        """Moves the bar."""
        self._row.advance()
        self._note = note
        self._tell()

    def doing(self, what: str) -> None:
        """Says what the next step consists of."""
        self._what = what
        self._tell()

    def _tell(self) -> None:
        notes = ", ".join(filter(None, (self._what, self._note)))
        self._row.retitle(f"{self._title}: {notes}" if notes else self._title)


class Transfer:
    """Bytes on their way from one place to another.

    Args:
        row: that shows them, or None.
    """

    def __init__(self, row: Row | None = None) -> None:
        self.moved, self._row = 0, row

    def advance(self, count: int) -> None:
        """Counts bytes that arrived."""
        self.moved += count
        if self._row is not None:
            self._row.advance(count)


class _Stderr(RichConsole):
    """Where nobody reads remarks any more, the command goes on without them."""

    def on_broken_pipe(self) -> None:
        """Says nothing from here on; rich's own ends the process."""
        self.quiet = True


class Console:
    """Output of one command.

    Args:
        as_json: stdout gets one JSON document.
        quiet: no progress and no remarks; errors and warnings stay.

    Attributes:
        has_document: whether the JSON document was written.
        kept: what the command has finished.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet
        self.has_document = False
        self._said: set[str] = set()
        self.kept = Kept()
        # rich honours NO_COLOR by itself. Without emoji: a prompt's [boat:ship:0.5] stays as it was typed.
        self._err = _Stderr(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._out = RichConsole(highlight=False, soft_wrap=True, emoji=False)
        self._live: LiveDisplay | None = None

    @property
    def shows_rows(self) -> bool:
        """Whether work in progress is shown as rows that move."""
        return self._err.is_terminal and not self._err.is_dumb_terminal and not self.quiet

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer: stdin and stderr are a terminal, and no program reads a document."""
        return not self.as_json and self._err.is_terminal and sys.stdin is not None and sys.stdin.isatty()

    def _rows_away(self, out: RichConsole) -> AbstractContextManager[None]:
        """Takes moving rows away while something else is printed to a terminal."""
        return self._live.away() if self._live is not None and out.is_terminal else nullcontext()

    def _remark(self, line: str, style: str | None = None) -> None:
        with suppress(OSError), self._rows_away(self._err):
            self._err.print(_shown(line), style=style, markup=False)

    def say(self, line: str) -> None:
        """A remark on stderr."""
        if not self.quiet:
            self._remark(line)

    def say_once(self, line: str) -> None:
        """A remark that several steps of a command make, shown the first time."""
        if line not in self._said:
            self._said.add(line)
            self.say(line)

    def warn(self, line: str) -> None:
        """Something that the user should know, whatever they silenced."""
        self._remark(f"warning: {line}", "yellow")

    def error(self, error: QnnSdError) -> None:
        """The lines of a failure: what, why, what is kept, what next."""
        self._remark(f"error: {error.what}.", "bold red")
        if error.why:
            self._remark(f"  why:  {error.why}")
        if error.kept:
            self._remark(f"  kept: {', '.join(error.kept)}")
        if error.hint:
            self._remark(f"  next: {error.hint}")

    def result(self, line: str) -> None:
        """A line of the command's result, on stdout; left out with ``--json``."""
        if not self.as_json:
            with self._rows_away(self._out):
                self._out.print(_shown(line), markup=False)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], text: Callable[[float], str] = one_decimal
    ) -> None:
        """A table of the result, on stdout; numbers to the right. Left out with ``--json``.

        Args:
            columns: their heads.
            rows: cells.
            text: how a float is written.
        """
        if self.as_json:
            return
        numeric = [all(isinstance(row[index], (int, float)) for row in rows) for index in range(len(columns))]
        cells = [[text(cell) if isinstance(cell, float) else _shown(str(cell)) for cell in row] for row in rows]
        with self._rows_away(self._out):
            print_table(self._out, columns, cells, numeric)

    def document(self, document: Document) -> None:
        """The JSON document of ``--json``: one a command."""
        if self.as_json:
            text = json_text(document.content)
            self.has_document = True
            sys.stdout.write(text)
            sys.stdout.flush()

    def ask(self, question: str) -> bool:
        """Asks on the terminal; anything but yes is no, and so is the end of the input.

        What was typed before the question was seen is no answer to it.
        """
        with suppress(termios.error):
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
        self._err.print(f"{question} [y/N] ", end="", markup=False)
        answer = sys.stdin.readline()
        if not answer.endswith("\n"):
            self._err.print()
        return answer.strip().lower() in ("y", "yes")

    @property
    def _display(self) -> LiveDisplay:
        if self._live is None:
            self._live = LiveDisplay()
        return self._live

    @contextmanager
    def progress(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        """A progress bar on stderr while the block runs, with the time left.

        Args:
            title: what is worked on.
            total: steps in all.
            done: steps that were done before.
        """
        if self.shows_rows:
            # A bar's rate is that of its own steps: what was done before isn't one.
            with self._display.row(title, count_state, total, done) as row:
                yield _RowBar(row, title)
            return
        self.say(f"{title} ({total}, {done} done before)" if done else f"{title} ({total})")
        yield _Quiet()

    @contextmanager
    def working(
        self,
        title: str,
        share: Callable[[float], float] | None = None,
        state: Callable[[float], str] | None = None,
    ) -> Iterator[None]:
        """A moving row on a terminal while the block runs, of which nobody knows how far it is; nothing in a log.

        Args:
            title: what is worked on.
            share: how much of it is done, from the seconds so far; None where nobody knows.
            state: what is said of it beside the bar, from the seconds so far; None for the time.
        """
        if not self.shows_rows:
            yield
            return
        with self._display.row(title, elapsed_state if state is None else by_elapsed(state), share=share):
            yield

    @contextmanager
    def reading(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar of bytes on a terminal while the block reads files, as soon as it is seen to take its time.

        Nothing in a log.

        Args:
            title: what is read.
            total: bytes in all.
        """
        if not self.shows_rows:
            yield lambda _count: None
            return
        with ExitStack() as rows:
            late = LateRow(lambda done: rows.enter_context(self._display.row(title, bytes_state, total, done)), total)
            yield late.advance

    @contextmanager
    def transfer(self, title: str, total: int | None, done: int = 0) -> Iterator[Transfer]:
        """Progress of a transfer on stderr while the block runs, and its rate when it ended well.

        Args:
            title: what is moved.
            total: bytes in all, or None where nobody knows.
            done: bytes that were there before.
        """
        started = time.monotonic()
        if self.shows_rows:
            with self._display.row(title, bytes_state, total, done) as row:
                transfer = Transfer(row)
                yield transfer
        else:
            size = "size unknown" if total is None else f"{total / 1e6:,.1f} MB"
            self.say(f"{title} ({size}, {done / 1e6:,.1f} MB there)" if done else f"{title} ({size})")
            transfer = Transfer()
            yield transfer
        seconds = max(time.monotonic() - started, 1e-6)
        self.say(f"{title}: {transfer.moved / 1e6:,.1f} MB, {transfer.moved / 1e6 / seconds:,.1f} MB/s")
