"""What people and scripts read: results on stdout, everything else on stderr.

With ``--json`` stdout carries one JSON document and nothing else. Progress needs a terminal;
without one (a log, a CI run) each piece of work says one line when it starts.

A remark that can't be written is nobody's loss; a result that can't be is a failure (``cli/stdout.py``).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from qnn_sd.errors import QnnSdError
from qnn_sd.kept import Kept
from qnn_sd.schemas import Document

# Of a table, in characters: rich measures none beyond the width that it is given.
_WIDEST_TABLE = 10_000


def json_text(value: object) -> str:
    """A document as ``--json`` prints it: plain JSON values, indented, with a line's end."""
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def one_decimal(value: float) -> str:
    """A number as most tables have it."""
    return f"{value:,.1f}"


class Bar(Protocol):
    """One running piece of work."""

    def advance(self, note: str = "") -> None:
        """Counts one step and shows ``note`` beside the bar."""


class _Quiet:
    def advance(self, note: str = "") -> None:
        """Nobody looks."""


class _RichBar:
    def __init__(self, progress: Progress, task: Any) -> None:
        self.progress, self.task = progress, task

    def advance(self, note: str = "") -> None:
        """Moves the bar."""
        self.progress.update(self.task, advance=1, note=note)


class Transfer:
    """Bytes on their way from one place to another."""

    def __init__(self) -> None:
        self.moved = 0

    def advance(self, count: int) -> None:
        """Counts bytes that arrived."""
        self.moved += count


class _RichTransfer(Transfer):
    def __init__(self, progress: Progress, task: Any) -> None:
        super().__init__()
        self.progress, self.task = progress, task

    def advance(self, count: int) -> None:
        super().advance(count)
        self.progress.update(self.task, advance=count)


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
        self.kept = Kept()
        # rich honours NO_COLOR by itself.
        self._err = _Stderr(stderr=True, highlight=False, soft_wrap=True)
        self._out = RichConsole(highlight=False, soft_wrap=True)

    def _remark(self, line: str, style: str | None = None) -> None:
        with suppress(OSError):
            self._err.print(line, style=style, markup=False)

    def say(self, line: str) -> None:
        """A remark on stderr."""
        if not self.quiet:
            self._remark(line)

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
            self._out.print(line, markup=False)

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
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, column in enumerate(columns):
            numeric = all(isinstance(row[index], (int, float)) for row in rows)
            table.add_column(column, justify="right" if numeric else "left")
        for row in rows:
            table.add_row(*(Text(text(cell) if isinstance(cell, float) else str(cell)) for cell in row))
        # Names are read by people and scripts: a narrow terminal wraps a line, and cuts no word.
        whole = self._out.measure(table, options=self._out.options.update(max_width=_WIDEST_TABLE)).maximum
        # print() takes no width beyond its console's.
        RichConsole(highlight=False, soft_wrap=True, width=max(self._out.width, whole)).print(table, crop=False)

    def document(self, document: Document) -> None:
        """The JSON document of ``--json``: one a command."""
        if self.as_json:
            text = json_text(document.content)
            self.has_document = True
            sys.stdout.write(text)
            sys.stdout.flush()

    @contextmanager
    def progress(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        """A progress bar on stderr while the block runs, with the time left.

        Args:
            title: what is worked on.
            total: steps in all.
            done: steps that were done before.
        """
        if self.quiet:
            yield _Quiet()
            return
        if not self._err.is_terminal:
            self.say(f"{title} ({total}, {done} done before)" if done else f"{title} ({total})")
            yield _Quiet()
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left {task.fields[note]}"),
        )
        with Progress(*columns, console=self._err, transient=True) as progress:
            # A bar's rate is that of its own steps: what was done before isn't one.
            yield _RichBar(progress, progress.add_task(title, total=total, completed=done, note=""))

    @contextmanager
    def transfer(self, title: str, total: int | None, done: int = 0) -> Iterator[Transfer]:
        """Progress of a transfer on stderr while the block runs, and its rate when it ended well.

        Args:
            title: what is moved.
            total: bytes in all, or None where nobody knows.
            done: bytes that were there before.
        """
        started = time.monotonic()
        if self._err.is_terminal and not self.quiet:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self._err, transient=True) as progress:
                transfer: Transfer = _RichTransfer(progress, progress.add_task(title, total=total, completed=done))
                yield transfer
        else:
            size = "size unknown" if total is None else f"{total / 1e6:,.1f} MB"
            self.say(f"{title} ({size}, {done / 1e6:,.1f} MB there)" if done else f"{title} ({size})")
            transfer = Transfer()
            yield transfer
        seconds = max(time.monotonic() - started, 1e-6)
        self.say(f"{title}: {transfer.moved / 1e6:,.1f} MB, {transfer.moved / 1e6 / seconds:,.1f} MB/s")
