"""``qnn-sd quantize``: a checkpoint's W8A16 QDQ graphs and their encodings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from qnn_sd.cli.build_options import BuildRequest, quantize_options
from qnn_sd.cli.options import component_option, output_options
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import copies_option, metadata_of, put_in_place, refuse_bad_copies
from qnn_sd.console import Console
from qnn_sd.pipeline import COMPONENTS


@click.command("quantize")
@component_option(COMPONENTS, "quantize")
@copies_option("model.onnx, its encodings and rounding.json")
@quantize_options
@output_options
def quantize_command(
    components: tuple[str, ...],
    output: Path | None,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Write a checkpoint's W8A16 QDQ graphs: calibrated on real trajectories, rounded by AdaRound."""
    refuse_bad_copies(output, components)
    pipeline = build_request.pipeline(console)
    made = {name: pipeline.quantize(name) for name in components}
    if build_request.dry_run:
        show_plan(console, pipeline)
        return
    places = put_in_place(made, output)
    document = {}
    rows: list[list[object]] = []
    for name, stage in made.items():
        gained = stage.metadata.get("rounding")
        document[name] = {
            **metadata_of(stage, places[name]),
            "rounding": gained or "nearest",
            "encodings": str(pipeline.encodings.get(name, "measured")),
        }
        state = "cached" if stage.cached else "built"
        megabytes = document[name]["bytes"] / 1e6
        rows.append([name, megabytes, *_gains(gained), stage.seconds, state, str(places[name])])
    columns = ["component", "MB", "layers by AdaRound", "median gain, dB", "seconds", "", "folder"]
    console.table(columns, rows)
    console.document(
        {
            "model": pipeline.model.name,
            "width": pipeline.model.width,
            "height": pipeline.model.height,
            "components": document,
        }
    )


def _gains(gained: Mapping[str, Any] | None) -> tuple[str, str]:
    """How many layers AdaRound rounds, of those that nearest changes, and what it gains in the middle."""
    if gained is None:
        return "none", ""
    median = gained["median_gain_db"]
    return f"{gained['adaround']} of {gained['layers'] - gained['exact']}", "" if median is None else f"{median:.1f}"
