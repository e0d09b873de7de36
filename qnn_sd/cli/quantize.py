"""``qnn-sd quantize``: a checkpoint's W8A16 QDQ graphs and their encodings."""

from __future__ import annotations

import click

from qnn_sd.artifact import Artifact
from qnn_sd.cli.build_options import BuildRequest, quantize_options
from qnn_sd.cli.docs import QUANTIZATION
from qnn_sd.cli.documents import QuantizeDocument
from qnn_sd.cli.documents.build import QuantizedComponent, RoundedLayers
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.help import HelpCommand
from qnn_sd.cli.options import component_option, output_options
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import Copies, copies_options, image_size, stage_output
from qnn_sd.console import Console
from qnn_sd.pipeline import COMPONENTS, BuildPipeline


@click.command(
    "quantize",
    cls=HelpCommand,
    examples=(
        ("Quantize all components of the demo model into the cache", "qnn-sd quantize"),
        (
            "Calibrate the UNet with your own prompts, and copy its QDQ graph into a folder",
            "qnn-sd quantize --component unet --prompts prompts.txt -o graphs",
        ),
    ),
    docs_page=QUANTIZATION,
)
@component_option(COMPONENTS, "quantize")
@copies_options("<component>/model.onnx, its encodings and rounding.json")
@quantize_options
@output_options
def quantize_command(
    components: tuple[str, ...],
    copies: Copies,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Quantize a checkpoint's graphs to W8A16 QDQ graphs.

    Activation ranges are measured while the float model generates images; weights are rounded by AdaRound. A
    calibration that was interrupted goes on where it stopped.
    """
    copies.check(components, build_request.cache)
    pipeline = build_request.pipeline(console)
    copies.refuse_another("quantize", {name: f"{pipeline.model.name}.{name}" for name in components})

    def build(planned: BuildPipeline) -> dict[str, Artifact]:
        return {name: planned.quantize(name) for name in components}

    if build_request.dry_run:
        show_plan(console, pipeline, build)
        return
    announce(pipeline, build, console, build_request)
    made = build(pipeline)
    places = copies.put(made, console)
    outputs: dict[str, QuantizedComponent] = {}
    rows: list[list[object]] = []
    for name, stage in made.items():
        gained, given = stage.metadata.get("rounding"), pipeline.encodings.get(name)
        each = outputs[name] = QuantizedComponent(
            **stage_output(stage, places[name]).model_dump(),
            rounding="adaround" if gained else "nearest",
            rounded_layers=RoundedLayers(**gained) if gained else None,
            encodings="given" if given else "measured",
            encodings_file=str(given) if given else None,
        )
        state = "cached" if each.cached else "built"
        rows.append([name, each.bytes / 1e6, *_gains(each.rounded_layers), stage.seconds, state, each.folder])
    columns = ["component", "MB", "layers by AdaRound", "median gain, dB", "seconds", "", "folder"]
    console.table(columns, rows)
    console.document(QuantizeDocument(model=pipeline.model.name, size=image_size(pipeline.model), components=outputs))


def _gains(rounded: RoundedLayers | None) -> tuple[str, str]:
    """How many layers AdaRound rounds, of those that nearest changes, and its median gain."""
    if rounded is None:
        return "none", ""
    median = rounded.median_gain_db
    return f"{rounded.adaround} of {rounded.layers - rounded.exact}", "" if median is None else f"{median:.1f}"
