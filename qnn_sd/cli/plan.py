"""What ``--dry-run`` shows: the stages, what is there already, and how long each took last time."""

from __future__ import annotations

from typing import Protocol

from qnn_sd.cli.documents import PlanDocument
from qnn_sd.cli.documents.build import StageToBuild
from qnn_sd.cli.stage_output import image_size
from qnn_sd.console import Console
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


def show_plan(console: Console, pipeline: BuildPipeline) -> None:
    """Prints a dry run's stages."""
    stages = []
    for planned in pipeline.plan:
        component, subject = component_and_subject(planned, pipeline.model.name)
        stages.append(
            StageToBuild(
                stage=planned.stage,
                component=component,
                subject=subject,
                cached=planned.cached,
                last_seconds=planned.last_seconds,
            )
        )
    rows: list[list[object]] = []
    for each in stages:
        took = "never built here" if each.last_seconds is None else f"{each.last_seconds:,.1f} s"
        state = "cached" if each.cached else "to do"
        rows.append([each.stage, each.component or "all", each.subject or "", state, took])
    console.table(["stage", "component", "subject", "", "last time"], rows)
    ahead = [each.last_seconds for each in stages if not each.cached]
    known = sum(seconds for seconds in ahead if seconds is not None)
    unknown = ahead.count(None)
    known_time = [f"{known:,.0f} s the last time"] if len(ahead) > unknown else []
    unknown_time = [f"{unknown} of them never built here, so their time is unknown"] if unknown else []
    times = "; ".join([*known_time, *unknown_time])
    console.result(f"{len(ahead)} of {len(stages)} stages to do{': ' if times else ''}{times}.")
    console.document(
        PlanDocument(
            model=pipeline.model.name,
            size=image_size(pipeline.model),
            stages=stages,
            known_seconds=round(known, 3),
        )
    )
