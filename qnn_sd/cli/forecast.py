"""What a command says before it builds: how long, how much memory and disk; and it asks before it takes long."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qnn_sd import resources
from qnn_sd.artifact_manifest import Work
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.console import Console
from qnn_sd.errors import Interrupted
from qnn_sd.estimates import Estimate, Machine, estimate, how_many_fit, makespan, measure_machine
from qnn_sd.host_memory import available_memory
from qnn_sd.in_words import duration, gigabytes
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.pipeline.artifact_store import PlannedStage
from qnn_sd.pipeline.expected_build import ExpectedBuild, ExpectedStage
from qnn_sd.resources import usable_cores

# Nobody wants to be told of less.
_TOLD_FROM_SECONDS = 10.0
# And nobody wants to be asked.
ASKED_FROM_SECONDS = 600.0
# What else a Python with ONNX Runtime holds.
_OWN_MEMORY = 0.1e9

Build = Callable[[BuildPipeline], object]
# Work after the build, and the stage whose figures it has: ``generate`` for images.
Afterwards = tuple[str, Work]


@dataclass(frozen=True)
class StageForecast:
    """What one stage of a plan is expected to take.

    Attributes:
        planned: the stage.
        estimate: what it takes; None for one that is in the cache.
    """

    planned: PlannedStage
    estimate: Estimate | None

    @property
    def runs_beside(self) -> str:
        """What others it runs beside, each on a core of its own; empty for one that runs alone."""
        kind = (self.planned.stage, self.planned.work.variant)
        return self.planned.stage if kind in (("compile", ""), ("verify", "binary")) else ""


@dataclass(frozen=True)
class Forecast:
    """What a command is expected to take.

    Attributes:
        stages: of its plan.
        afterwards: what it does with what was built, such as an image.
        cores: that it may use.
        free_memory: bytes; None where nobody knows.
    """

    stages: tuple[StageForecast, ...]
    afterwards: tuple[Estimate, ...]
    cores: int
    free_memory: float | None = None

    @property
    def _ahead(self) -> list[Estimate]:
        return [each.estimate for each in self.stages if each.estimate is not None]

    @property
    def build_seconds(self) -> float:
        """Of all stages that are to do."""
        groups = self._by_group()
        alone = sum(each.seconds for each in groups.pop("", []))
        together = (makespan([each.seconds for each in group], self._workers(group)) for group in groups.values())
        return alone + sum(together)

    def _by_group(self) -> dict[str, list[Estimate]]:
        """What is to do, by what it runs beside."""
        found: dict[str, list[Estimate]] = {}
        for each in self.stages:
            if each.estimate is not None:
                found.setdefault(each.runs_beside, []).append(each.estimate)
        return found

    def _workers(self, group: Sequence[Estimate]) -> int:
        return how_many_fit([each.memory for each in group], self.cores, self.free_memory)

    @property
    def afterwards_seconds(self) -> float:
        """Of what follows the build."""
        return sum(each.seconds for each in self.afterwards)

    @property
    def seconds(self) -> float:
        """Of the whole command."""
        return self.build_seconds + self.afterwards_seconds

    @property
    def memory(self) -> float:
        """Bytes held at once, at most."""
        held = [each.memory for each in (*self._ahead, *self.afterwards)]
        for name, group in self._by_group().items():
            if name:
                held.append(sum(sorted(each.memory for each in group)[-self._workers(group) :]))
        return max(held, default=0.0) + _OWN_MEMORY

    @property
    def kept(self) -> float:
        """Bytes of disk that stay."""
        return sum(each.disk for each in self._ahead)

    @property
    def disk(self) -> float:
        """Bytes of disk, at most: what stays, and what is needed for a while."""
        return self.kept + max((each.scratch for each in self._ahead), default=0.0)


def make_forecast(plan: Sequence[PlannedStage], afterwards: Sequence[Afterwards], machine: Machine) -> Forecast:
    """What a plan takes on a machine; a time that was measured here for the same work is taken as it is.

    Args:
        plan: the stages.
        afterwards: what is done with what is built.
        machine: how fast it is.
    """
    stages = []
    for planned in plan:
        expected = None
        if not planned.cached:
            expected = estimate(planned.stage, planned.work, machine)
            if planned.last_seconds is not None:
                expected = Estimate(planned.last_seconds, expected.memory, expected.disk, expected.scratch)
        stages.append(StageForecast(planned, expected))
    free = available_memory()
    return Forecast(
        tuple(stages),
        tuple(estimate(stage, work, machine) for stage, work in afterwards),
        len(usable_cores()),
        None if free is None else free[0],
    )


def forecast_of(plan: Sequence[PlannedStage], afterwards: Sequence[Afterwards]) -> Forecast:
    """The same on this machine, which is measured where it takes long enough to matter."""
    cores = len(usable_cores())
    rough = make_forecast(plan, afterwards, Machine(cores, 1.0, cores))
    if rough.seconds < _TOLD_FROM_SECONDS:
        return rough
    return make_forecast(plan, afterwards, measure_machine())


def announce(
    pipeline: BuildPipeline,
    build: Build,
    console: Console,
    request: BuildRequest,
    *,
    afterwards: Sequence[Afterwards] = (),
    asks: bool = True,
    shortcut: str = "",
) -> None:
    """Says in one line what a command will take, and asks on a terminal where that is long; the build knows its plan.

    Args:
        pipeline: that is to build.
        build: what it is to build, as ``BuildPipeline.planned`` takes it.
        console: where it is said.
        request: what was typed.
        afterwards: what is done with what is built.
        asks: whether it is a command that asks.
        shortcut: what to type for a first image, said where that takes much less time; empty for nothing.

    Raises:
        Interrupted: the answer was no. Nothing was made.
        ArtifactError: the cache holds a damaged artifact that the build needs.
    """
    forecast = forecast_of(pipeline.planned(build), afterwards)
    stages = [
        ExpectedStage(each.planned.stage, each.planned.name, each.estimate.seconds if each.estimate else 0.0)
        for each in forecast.stages
    ]
    pipeline.expect(ExpectedBuild(stages, forecast.afterwards_seconds, forecast.build_seconds))
    console.kept.of_stages = len(stages)
    if forecast.seconds <= _TOLD_FROM_SECONDS:
        return
    line = in_one_line(forecast) + (_faster(pipeline, forecast, shortcut) if shortcut else "")
    console.say(line)
    short = shortages(forecast, request.cache or resources.cache())
    for each in short:
        console.warn(each)
    if forecast.seconds <= ASKED_FROM_SECONDS and not short:
        return
    if request.yes or not asks or not console.can_ask:
        return
    # What was silenced is part of the question: nobody can answer without it.
    if not console.ask(f"{line}\nGo on?" if console.quiet else "Go on?"):
        raise Interrupted(
            "Nothing was made",
            why="The answer was no.",
            hint="Type it again with --yes, and it goes on without asking.",
        )


def in_one_line(forecast: Forecast) -> str:
    """``about 100 min on this machine (2 cores), 8.4 GB of memory, 14 GB of disk``."""
    cores = "1 core" if forecast.cores == 1 else f"{forecast.cores} cores"
    line = f"about {duration(forecast.seconds)} on this machine ({cores}), {gigabytes(forecast.memory)} of memory"
    if forecast.disk:
        line += f", {gigabytes(forecast.disk)} of disk"
    if forecast.afterwards_seconds >= _TOLD_FROM_SECONDS and forecast.build_seconds >= _TOLD_FROM_SECONDS:
        line += f"; of it {duration(forecast.afterwards_seconds)} after the build"
    return line


def _faster(pipeline: BuildPipeline, forecast: Forecast, shortcut: str) -> str:
    """What shows an image sooner, where anything does."""
    if forecast.seconds < ASKED_FROM_SECONDS:
        return ""
    work = pipeline.image_work("float")
    on_cpu = forecast_of(pipeline.planned(lambda twin: twin.build_cpu_bundle("float")), [("generate", work)])
    if on_cpu.seconds > forecast.seconds / 3:
        return ""
    return f"; {shortcut} shows an image in {duration(on_cpu.seconds)}"


def shortages(forecast: Forecast, cache: Path) -> list[str]:
    """What of memory and disk doesn't suffice, in words."""
    found = []
    memory = available_memory()
    if memory is not None and memory[0] < forecast.memory:
        found.append(
            f"{gigabytes(forecast.memory)} of memory are needed, {gigabytes(memory[0])} are free ({memory[1]}): "
            "it may be killed, or become slow"
        )
    free = free_disk(cache)
    if free < forecast.disk:
        found.append(f"{gigabytes(forecast.disk)} of disk are needed, {gigabytes(free)} are free for {cache}")
    return found


def free_disk(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
