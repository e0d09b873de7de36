"""What ``--dry-run`` shows: the stages, what is there already, and what the others are expected to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from qnn_sd.artifact_manifest import Work
from qnn_sd.cli.documents import PlanDocument
from qnn_sd.cli.documents.build import PlannedUpload, StageToBuild
from qnn_sd.cli.forecast import Build, Forecast, StageForecast, forecast_of, in_one_line
from qnn_sd.cli.stage_output import image_size
from qnn_sd.console import Console
from qnn_sd.in_words import duration, gigabytes
from qnn_sd.pipeline import COMPONENTS, BuildPipeline


class NamedStage(Protocol):
    """A stage in a plan or in a report of what was built."""

    @property
    def name(self) -> str:
        """Of its recipe: ``<model>[.<component>][.<subject>]``."""

    @property
    def component(self) -> str:
        """Its component, or a word for the whole model."""


def component_and_subject(stage: NamedStage, model: str) -> tuple[str | None, str | None]:
    """Which component a stage is of, and what tells it from others of that component; None where there is none.

    Args:
        stage: its recipe's name says both.
        model: name of the model config.
    """
    component = stage.component if stage.component in COMPONENTS else None
    rest = stage.name.removeprefix(model).removeprefix("." if component is None else f".{component}")
    return component, rest.removeprefix(".") or None


def show_plan(
    console: Console,
    pipeline: BuildPipeline,
    build: Build | None = None,
    images: Sequence[Work] = (),
    uploads: Mapping[str, int | None] | None = None,
    place: str = "AI Hub",
) -> None:
    """Prints the stages of a dry run, and what they are expected to take.

    Args:
        console: where.
        pipeline: that would build.
        build: what it would build; None for what was planned before.
        images: that would be generated with it.
        uploads: bytes that would be sent to AI Hub, by component, None where they aren't known; None for none.
        place: where they would go, in words: AI Hub, or the stand-in for it.
    """
    forecast = forecast_of(
        pipeline.plan if build is None else pipeline.planned(build), [("generate", each) for each in images]
    )
    stages = [_stage(each, pipeline.model.name) for each in forecast.stages]
    console.table(_COLUMNS, [_row(each) for each in stages])
    to_do = sum(not each.cached for each in stages)
    # What is built already still has its images ahead.
    ahead = f": {_sum(forecast)}" if to_do else f"; the images take {in_one_line(forecast)}" if images else ""
    console.result(f"{to_do} of {len(stages)} stages to do{ahead}.")
    if uploads is not None:
        _show_uploads(console, uploads, place)
    console.document(
        PlanDocument(
            model=pipeline.model.name,
            size=image_size(pipeline.model),
            stages=stages,
            known_seconds=round(sum(each.last_seconds or 0.0 for each in stages if not each.cached), 3),
            estimated_seconds=round(forecast.seconds, 3),
            image_seconds=round(forecast.afterwards_seconds, 3) if images else None,
            memory_bytes=round(forecast.memory),
            disk_bytes=round(forecast.disk),
            cores=forecast.cores,
            uploads=None
            if uploads is None
            else [PlannedUpload(component=name, bytes=count) for name, count in uploads.items()],
        )
    )


def _show_uploads(console: Console, uploads: Mapping[str, int | None], place: str) -> None:
    known = [count for count in uploads.values() if count is not None]
    sizes = [f"{name} {'not built yet' if count is None else gigabytes(count)}" for name, count in uploads.items()]
    console.result(f"To {place}, where it isn't there already: {', '.join(sizes)}; {gigabytes(sum(known))} in all.")


def _stage(forecast: StageForecast, model: str) -> StageToBuild:
    planned, expected = forecast.planned, forecast.estimate
    component, subject = component_and_subject(planned, model)
    return StageToBuild(
        stage=planned.stage,
        component=component,
        subject=subject,
        cached=planned.cached,
        estimated_seconds=None if expected is None else round(expected.seconds, 3),
        memory_bytes=None if expected is None else round(expected.memory),
        disk_bytes=None if expected is None else round(expected.disk),
        last_seconds=planned.last_seconds,
    )


_COLUMNS = ("stage", "component", "subject", "estimate", "last time", "memory", "disk")


def _row(stage: StageToBuild) -> list[object]:
    names = [stage.stage, stage.component or "all", stage.subject or ""]
    last = "-" if stage.last_seconds is None else duration(stage.last_seconds)
    if stage.estimated_seconds is None:
        return [*names, "cached", last, "", ""]
    sizes = [gigabytes(each) if each else "-" for each in (stage.memory_bytes, stage.disk_bytes)]
    return [*names, duration(stage.estimated_seconds), last, *sizes]


def _sum(forecast: Forecast) -> str:
    """What all of it takes."""
    again = [each for each in forecast.stages if each.estimate and each.planned.last_seconds is not None]
    measured = f" ({len(again)} of them took their time here before)" if again else ""
    return in_one_line(forecast) + measured
