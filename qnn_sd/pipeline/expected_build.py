"""What a build is expected to take, and how far it is: ``stage 4 of 19``, the time left, memory and disk so far."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.estimates import makespan
from qnn_sd.host_memory import PeakMemory
from qnn_sd.in_words import gigabytes
from qnn_sd.resources import usable_cores

# Fewer seconds say little about the pace of the rest.
_PACE_AFTER_SECONDS = 20.0
_PACE = (0.3, 4.0)
# Of the time that a stage has taken which should be over.
_OVERDUE = 0.1


@dataclass(frozen=True)
class ExpectedStage:
    """A stage of the plan.

    Attributes:
        stage: its name.
        name: of its recipe.
        seconds: that it is expected to take; 0 for one that is in the cache.
    """

    stage: str
    name: str
    seconds: float


class ExpectedBuild:
    """The account of a running build.

    Args:
        stages: the plan, in its order.
        afterwards: seconds that the command is expected to take after the last stage.
        seconds: of all stages, fewer than their sum where some run side by side; None for the sum.

    Attributes:
        memory: that the build holds.
    """

    def __init__(
        self, stages: Sequence[ExpectedStage] = (), afterwards: float = 0.0, seconds: float | None = None
    ) -> None:
        # Of the same stage and name there may be several, one after the other: of several sizes.
        self._ahead: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
        for number, each in enumerate(stages, 1):
            self._ahead[each.stage, each.name].append((number, each.seconds))
        self._count = len(stages)
        self._afterwards = afterwards
        alone = sum(each.seconds for each in stages)
        # Of stages that run side by side only the longest counts, or what the cores leave.
        self._beside = 1.0 if seconds is None or not alone else seconds / alone
        self._started = time.monotonic()
        self._expected = self._taken = 0.0
        self.memory, self._bytes = PeakMemory(), 0

    def expected(self, stages: Sequence[tuple[str, str]]) -> float:
        """Seconds that stages are expected to take, several side by side on the cores; 0 where nobody said.

        Args:
            stages: stage and recipe's name of each.
        """
        return makespan([self._next(each)[1] for each in stages], len(usable_cores()))

    def _next(self, stage: tuple[str, str]) -> tuple[int, float]:
        """Number and seconds of the next stage with this name; (0, 0.0) where the plan has none."""
        return next(iter(self._ahead.get(stage, ())), (0, 0.0))

    def place(self, stages: Sequence[tuple[str, str]]) -> str:
        """``stage 4 of 19`` of one stage, ``stages 4 to 7 of 19`` of several at once; empty where there is no plan.

        Args:
            stages: stage and recipe's name of each.
        """
        numbers = sorted(number for number, _seconds in map(self._next, stages) if number)
        if not numbers:
            return ""
        if len(numbers) == 1:
            return f"stage {numbers[0]} of {self._count}"
        joint = " to " if numbers[-1] - numbers[0] == len(numbers) - 1 else " and "
        listed = (numbers[0], numbers[-1]) if joint == " to " else numbers
        return f"stages {joint.join(map(str, listed))} of {self._count}"

    def left(self, running: Sequence[tuple[str, str]] = (), since: float | None = None) -> float:
        """Seconds that the whole command is expected to go on, at the pace of what is done.

        What runs counts for the pace of what is ahead as soon as it has taken longer than expected at the pace so far.

        Args:
            running: the stages that run now.
            since: when they were started, by ``time.monotonic``.
        """
        whole = sum(seconds for ahead in self._ahead.values() for _number, seconds in ahead)
        ahead = (whole - sum(self._next(each)[1] for each in running)) * self._beside
        elapsed = 0.0 if since is None else time.monotonic() - since
        expected = self.expected(running)
        pace = _pace(self._taken, self._expected)
        pace_ahead = max(pace, _pace(self._taken + elapsed, self._expected + expected))
        # What takes longer than expected goes on for a while.
        return (ahead + self._afterwards) * pace_ahead + max(expected * pace - elapsed, _OVERDUE * elapsed)

    def share(self, running: Sequence[tuple[str, str]], since: float) -> float:
        """How much of the whole command is done by the clock, 0 to 1, while stages run."""
        taken = time.monotonic() - self._started
        return taken / max(taken + self.left(running, since), 1e-6)

    def done(self, stages: Sequence[tuple[str, str]], seconds: float, folders: Sequence[Path]) -> None:
        """Counts stages that have ended.

        Args:
            stages: stage and recipe's name of each.
            seconds: that they took together.
            folders: of what they made.
        """
        self._expected += self.expected(stages)
        self._taken += seconds
        for each in stages:
            del self._ahead[each][:1]
        self._bytes += sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())

    def usage(self) -> str:
        """The most memory so far, and the disk that was filled."""
        return f"memory {gigabytes(self.memory.bytes)}, disk {gigabytes(self._bytes)}"


def _pace(taken: float, expected: float) -> float:
    """How many times as long as expected it took; 1 where that isn't known yet."""
    if taken < _PACE_AFTER_SECONDS or expected <= 0:
        return 1.0
    return min(max(taken / expected, _PACE[0]), _PACE[1])
