"""What ``--dry-run`` shows: the stages, what is there already, and how long each took last time."""

from __future__ import annotations

from qnn_sd.console import Console
from qnn_sd.pipeline import BuildPipeline


def show_plan(console: Console, pipeline: BuildPipeline) -> None:
    """Prints a dry run's stages."""
    rows: list[list[object]] = []
    for planned in pipeline.plan:
        took = "never made here" if planned.last_seconds is None else f"{planned.last_seconds:,.1f} s"
        rows.append([planned.stage, planned.component, "cached" if planned.cached else "to do", took])
    console.table(["stage", "component", "", "last time"], rows)
    ahead = [planned.last_seconds for planned in pipeline.plan if not planned.cached]
    known = sum(seconds for seconds in ahead if seconds is not None)
    unknown = ahead.count(None)
    more = f" and {unknown} that were never made here" if unknown else ""
    console.result(f"{len(ahead)} of {len(pipeline.plan)} stages to do: {known:,.0f} s, going by the last time{more}.")
    console.document(
        {
            "stages": [
                {
                    "stage": planned.stage,
                    "component": planned.component,
                    "cached": planned.cached,
                    "last_seconds": planned.last_seconds,
                }
                for planned in pipeline.plan
            ],
            "known_seconds": round(known, 3),
        }
    )
