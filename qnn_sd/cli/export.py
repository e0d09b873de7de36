"""``qnn-sd export``: a checkpoint's float graphs, in the HTP's forms."""

from __future__ import annotations

import click

from qnn_sd.artifact import Artifact
from qnn_sd.cli.build_options import BuildRequest, float_options
from qnn_sd.cli.docs import EXPORT
from qnn_sd.cli.documents import ExportDocument
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.help import HelpCommand
from qnn_sd.cli.options import component_option, output_options
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import Copies, copies_options, image_size, stage_output
from qnn_sd.console import Console
from qnn_sd.pipeline import COMPONENTS, BuildPipeline


@click.command(
    "export",
    cls=HelpCommand,
    examples=(
        ("Export all components of the demo model into the cache", "qnn-sd export"),
        (
            "Export the UNet of your own checkpoint into a folder",
            "qnn-sd export --checkpoint dream.safetensors --component unet -o graphs",
        ),
    ),
    docs_page=EXPORT,
)
@component_option(COMPONENTS, "export")
@copies_options("<component>/model.onnx and its weights")
@float_options
@output_options
def export_command(
    components: tuple[str, ...],
    copies: Copies,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Export a checkpoint's float ONNX graphs, in the forms that the HTP computes right and fast.

    The graph is written from the checkpoint's config and weights; no torch is needed.
    """
    copies.check(components, build_request.cache)
    pipeline = build_request.pipeline(console)
    copies.refuse_another("export", {name: f"{pipeline.model.name}.{name}" for name in components})

    def build(planned: BuildPipeline) -> dict[str, Artifact]:
        return {name: planned.export(name) for name in components}

    if build_request.dry_run:
        show_plan(console, pipeline, build)
        return
    announce(pipeline, build, console, build_request)
    made = build(pipeline)
    places = copies.put(made, console)
    outputs = {name: stage_output(stage, places[name]) for name, stage in made.items()}
    rows: list[list[object]] = [
        [name, each.bytes / 1e6, each.seconds, "cached" if each.cached else "built", each.folder]
        for name, each in outputs.items()
    ]
    console.table(["component", "MB", "seconds", "", "folder"], rows)
    console.document(ExportDocument(model=pipeline.model.name, size=image_size(pipeline.model), components=outputs))
