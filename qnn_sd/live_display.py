"""What moves on a terminal while a command works: a row for each piece of work, drawn anew some times a second.

The rows are rich's. They are taken away before anything else is printed, and drawn again below it: so what is printed
stays whole, on a terminal of any width.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from rich.console import Console as RichConsole
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

from qnn_sd import session_loading
from qnn_sd.blocked_display import shown_while_blocked
from qnn_sd.in_words import clock

# A session of a smaller model is open before anybody wonders.
_SLOW_TO_LOAD_BYTES = 200_000_000
# What takes less is over before a row could be read; and how fast it goes shows after a moment.
_WORTH_A_ROW_SECONDS = 1.0
_PACE_KNOWN_SECONDS = 0.2


class _Title(ProgressColumn):
    max_refresh = None

    def render(self, task: Task) -> Text:
        """What is worked on."""
        return Text(task.description)


class _Bar(BarColumn):
    """How far it is: counted, by the clock where a time is expected, else a pulse."""

    def render(self, task: Task) -> ProgressBar:
        """The bar."""
        total, done = task.total, task.completed
        if share := task.fields["share"]:
            # What takes longer than expected isn't finished: the bar stays short of its end.
            total, done = 1.0, min(share(task.elapsed or 0.0), 0.99)
        pulse = total is None
        return ProgressBar(total=1 if pulse else total, completed=done, pulse=pulse, animation_time=task.get_time())


class _State(ProgressColumn):
    """What is known in figures."""

    max_refresh = None

    def render(self, task: Task) -> Text:
        """The figures."""
        return Text(task.fields["state"](task), justify="right")


def count_state(task: Task) -> str:
    """Steps done of all, the time so far and the time left."""
    return f"{task.completed:.0f}/{task.total:.0f} {_times(task)}"


def bytes_state(task: Task) -> str:
    """Bytes done of all, their rate and the time left."""
    rate = f", {task.speed / 1e6:,.0f} MB/s" if task.speed else ""
    of = f"/{task.total / 1e6:,.0f}" if task.total else ""
    return f"{task.completed / 1e6:,.0f}{of} MB{rate} {_times(task)}"


def elapsed_state(task: Task) -> str:
    """The time so far."""
    return clock(task.elapsed or 0.0)


def by_elapsed(state: Callable[[float], str]) -> Callable[[Task], str]:
    """Figures that follow from the seconds so far."""
    return lambda task: state(task.elapsed or 0.0)


def _times(task: Task) -> str:
    left = task.time_remaining
    return clock(task.elapsed or 0.0) + (f", {clock(left)} left" if left else "")


class LiveDisplay:
    """The rows of one command, on stderr.

    Args:
        file: the terminal; None for stderr.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        # Not the console of remarks: that one cuts no line, and a row that wraps is not where it is looked for.
        self._console = RichConsole(file=file, stderr=file is None, highlight=False)
        knows_unicode = self._console.encoding.startswith("utf")
        self._rows = Progress(
            SpinnerColumn("dots" if knows_unicode else "line"),
            _Title(Column(ratio=3, no_wrap=True, overflow="ellipsis" if knows_unicode else "crop")),
            _Bar(bar_width=None, table_column=Column(ratio=2)),
            _State(Column(no_wrap=True, overflow="crop")),
            console=self._console,
            expand=True,
            # It keeps the rows; what draws them is of this class, anew after each time that they were away.
            auto_refresh=False,
        )
        self._live: Live | None = None

    def _draw(self) -> None:
        # stdout is for results, wherever it goes; rich would take it over.
        self._live = Live(
            console=self._console,
            get_renderable=self._rows.get_renderable,
            transient=True,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _wipe(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    @contextmanager
    def row(
        self,
        title: str,
        state: Callable[[Task], str] = elapsed_state,
        total: int | None = None,
        done: int = 0,
        share: Callable[[float], float] | None = None,
    ) -> Iterator[Row]:
        """A row while the block runs.

        Args:
            title: what is worked on.
            state: the figures at its end.
            total: steps or bytes in all, where they are counted.
            done: those that were done before.
            share: how much of it is done, from the seconds so far, where nothing is counted.
        """
        task = self._rows.add_task(title, total=total, completed=done, state=state, share=share)
        if self._live is None:
            session_loading.watch(self._loading)
            self._draw()
        try:
            yield Row(self._rows, task)
        finally:
            self._rows.remove_task(task)
            if not self._rows.tasks:
                self._wipe()
                session_loading.watch(None)

    @contextmanager
    def away(self) -> Iterator[None]:
        """The rows are gone while the block prints, and there again after it."""
        shown = self._live is not None
        self._wipe()
        try:
            yield
        finally:
            if shown and self._rows.tasks:
                self._draw()

    @contextmanager
    def _loading(self, title: str, count: int) -> Iterator[None]:
        """ONNX Runtime lets no other thread run while it loads a model: another process has to draw."""
        if count < _SLOW_TO_LOAD_BYTES or self._live is None:
            yield
            return
        with self.away(), shown_while_blocked(f"loading {title} ({count / 1e9:.1f} GB)", self._console.width):
            yield


class Row:
    """One running piece of work on a display.

    Args:
        progress: rich's.
        task: its number there.
    """

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, count: float = 1) -> None:
        """Counts steps or bytes."""
        self._progress.update(self._task, advance=count)

    def retitle(self, title: str) -> None:
        """Says anew what is worked on."""
        self._progress.update(self._task, description=title)


class LateRow:
    """A row that comes only where the rest takes so long that somebody wonders: a shorter one flashes.

    Args:
        show: opens the row, given the steps or bytes that are done.
        total: of them in all.
    """

    def __init__(self, show: Callable[[int], Row], total: int) -> None:
        self._show, self._total, self._done = show, total, 0
        self._started = time.monotonic()
        self._row: Row | None = None

    def advance(self, count: int) -> None:
        """Counts steps or bytes."""
        self._done += count
        if self._row is not None:
            self._row.advance(count)
            return
        elapsed = time.monotonic() - self._started
        left = elapsed * (self._total - self._done) / max(self._done, 1)
        if elapsed >= _PACE_KNOWN_SECONDS and left >= _WORTH_A_ROW_SECONDS:
            self._row = self._show(self._done)
