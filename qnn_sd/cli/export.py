"""``qnn-sd export``: a checkpoint's float graphs, in the HTP's forms."""

from __future__ import annotations

from pathlib import Path

import click

from qnn_sd.cli.building import Building, float_options
from qnn_sd.cli.options import component_option, output_options
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import copies_option, facts_of, put_in_place, refuse_bad_copies
from qnn_sd.config import COMPONENTS
from qnn_sd.console import Console


@click.command("export")
@component_option(COMPONENTS, "export")
@copies_option("model.onnx and its weights")
@float_options
@output_options
def export_command(
    components: tuple[str, ...],
    output: Path | None,
    building: Building,
    console: Console,
) -> None:
    """Write a checkpoint's float ONNX graphs, in the forms that the HTP computes faithfully and cheaply."""
    refuse_bad_copies(output, components)
    road = building.road(console)
    made = {name: road.export(name) for name in components}
    if building.dry_run:
        show_plan(console, road)
        return
    places = put_in_place(made, output)
    document = {name: facts_of(stage, places[name]) for name, stage in made.items()}
    rows: list[list[object]] = [
        [name, each["bytes"] / 1e6, each["seconds"], "cached" if each["cached"] else "built", each["folder"]]
        for name, each in document.items()
    ]
    console.table(["component", "MB", "seconds", "", "folder"], rows)
    console.document(
        {"model": road.model.name, "width": road.model.width, "height": road.model.height, "components": document}
    )
