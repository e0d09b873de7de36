"""``qnn-sd export``: a checkpoint's float graphs, in the HTP's forms."""

from __future__ import annotations

from pathlib import Path

import click

from qnn_sd import artifact
from qnn_sd.build import Road
from qnn_sd.cli.options import component_option, dry_run_option, model_options, output_options
from qnn_sd.cli.plan import show_plan
from qnn_sd.config import COMPONENTS, ModelConfig
from qnn_sd.console import Console
from qnn_sd.export.checkpoint import Sources


@click.command("export")
@component_option(COMPONENTS, "export")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for copies: <component>/model.onnx and its weights [the cache alone].",
)
@dry_run_option
@model_options
@output_options
def export_command(
    components: tuple[str, ...],
    output: Path | None,
    dry_run: bool,
    model: ModelConfig,
    sources: Sources,
    cache: Path | None,
    console: Console,
) -> None:
    """Write a checkpoint's float ONNX graphs, in the forms that the HTP computes faithfully and cheaply."""
    if output is not None:
        for name in components:
            artifact.probe_new_folder(output / name)
    road = Road(model, console, sources, cache, dry_run=dry_run)
    made = {name: road.export(name) for name in components}
    if dry_run:
        show_plan(console, road)
        return
    places = {name: stage.folder for name, stage in made.items()}
    if output is not None:
        for name, stage in made.items():
            places[name] = output / name
            artifact.copy_out(stage.folder, places[name])
    document = {}
    rows: list[list[object]] = []
    for name, stage in made.items():
        size = sum(path.stat().st_size for path in places[name].iterdir())
        state = "cached" if stage.cached else "built"
        rows.append([name, size / 1e6, stage.seconds, state, str(places[name])])
        document[name] = {
            "folder": str(places[name]),
            "bytes": size,
            "seconds": round(stage.seconds, 3),
            "cached": stage.cached,
        }
    console.table(["component", "MB", "seconds", "", "folder"], rows)
    console.document(
        {"model": road.model.name, "width": road.model.width, "height": road.model.height, "components": document}
    )
