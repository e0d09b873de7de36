"""``qnn-sd cost``: the compiler's estimate of time and its memory traffic, whole and block by block; no phone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from qnn_sd.cli.build_options import BuildRequest, quantize_options
from qnn_sd.cli.cost_graphs import ComponentGraphs, components_of, given_graph
from qnn_sd.cli.cost_measure import measure_costs
from qnn_sd.cli.cost_plot import write_plot
from qnn_sd.cli.cost_report import as_document, show_costs
from qnn_sd.cli.cost_scale import ESTIMATED_SOC, scaling_for
from qnn_sd.cli.options import component_option, output_options, refuse_bad_output, refuse_typed
from qnn_sd.cli.plan import show_plan
from qnn_sd.config import load_profile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError, did_you_mean
from qnn_sd.pipeline import COMPONENTS

# Those that mean something for a graph that was given: nothing is built then.
_OF_A_GRAPH = (
    *("graph", "components", "by", "only", "soc", "scale", "bound", "plot"),
    *("as_json", "quiet", "debug"),
)


@click.command("cost")
@component_option(COMPONENTS, "measure")
@click.option(
    "--by",
    type=click.Choice(["whole", "level", "block"]),
    default="block",
    show_default=True,
    help="What is compiled alone beside the whole graph; a level is a resolution.",
)
@click.option(
    "--only", multiple=True, metavar="NAME", help="Block or level to measure, alone and without the whole. Repeatable."
)
@click.option(
    "--soc", default=ESTIMATED_SOC, show_default=True, help="SoC whose time is estimated; few have an estimate."
)
@click.option(
    "--scale",
    is_flag=True,
    help=f"Where the compiler has no estimate for the SoC: {ESTIMATED_SOC}'s, scaled by published times of both.",
)
@click.option("--bound", is_flag=True, help="Also bound the time of the whole, where ops have no cost.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Image to write as well: time and traffic of each block, in the graph's order.",
)
@click.option(
    "--graph",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder with any QDQ graph, model.onnx, instead of a checkpoint's; --component says whose time --scale takes.",
)
@quantize_options
@output_options
def cost_command(
    components: tuple[str, ...],
    by: str,
    only: tuple[str, ...],
    soc: str,
    scale: bool,
    bound: bool,
    plot: Path | None,
    graph: Path | None,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Estimate what graphs cost on the HTP, whole and block by block: milliseconds and memory traffic. No phone.

    A graph that isn't quantized yet is measured with stand-in encodings: nothing is calibrated for it.
    """
    scaling = scaling_for(load_profile(soc), scale)
    _refuse_contradictions(by, only, bound, plot)
    if plot is not None:
        refuse_bad_output(plot, ".svg", "The image is SVG.")
    model: dict[str, object] = {}
    if graph is not None:
        components = _of_the_graph(components, scaling.scales)
        subjects = [given_graph(graph, "".join(components))]
    else:
        pipeline, subjects = components_of(build_request, components, console)
        if build_request.dry_run:
            show_plan(console, pipeline)
            return
        model = {"model": pipeline.model.name, "width": pipeline.model.width, "height": pipeline.model.height}
    parts = _chosen_parts(subjects, by, only)
    costs = [
        measure_costs(
            subject,
            scaling,
            component,
            console,
            parts=parts[subject.name],
            by_level=by == "level",
            whole=not only,
            bound=bound,
        )
        for subject, component in zip(subjects, components or ("",), strict=True)
        if parts[subject.name] or not only
    ]
    show_costs(console, costs, by)
    if plot is not None:
        write_plot(plot, costs, by)
        console.say(f"written to {plot}")
    console.document(as_document(costs, by, model))


def _refuse_contradictions(by: str, only: Sequence[str], bound: bool, plot: Path | None) -> None:
    """Raises for options that don't go together."""
    for given, option in ((only, "--only"), (plot, "--plot")):
        if by == "whole" and given:
            raise SettingError(f"{option} has no meaning with --by whole", hint="Choose --by block or --by level.")
    if only and bound:
        raise SettingError(
            "--bound has no meaning with --only",
            why="The bound is of the whole graph.",
            hint="Leave one of them out.",
        )


def _of_the_graph(components: tuple[str, ...], scales: bool) -> tuple[str, ...]:
    """Which component a given graph is, if that was said.

    Raises:
        SettingError: of a checkpoint something was said, or what is needed to scale wasn't.
    """
    refuse_typed(
        _OF_A_GRAPH,
        "with --graph",
        why="The graph is measured as it is: nothing is built.",
        hint="Leave one of them out.",
    )
    named = () if components == COMPONENTS else components
    if len(named) > 1:
        raise SettingError(
            f"A graph is one component, not {' and '.join(named)}", hint="Name one --component, or none."
        )
    if scales and not named:
        raise SettingError(
            "Nothing says whose published times the graph's estimate is to be scaled by",
            hint=f"Say which it is like: --component {' or --component '.join(COMPONENTS)}.",
        )
    return named


def _chosen_parts(subjects: Sequence[ComponentGraphs], by: str, only: Sequence[str]) -> dict[str, list[str]]:
    """The blocks or levels to measure of each graph; before anything is compiled.

    Raises:
        SettingError: a name that none has.
    """
    if by == "whole":
        return {subject.name: [] for subject in subjects}
    parts = {subject.name: subject.parts(by == "level") for subject in subjects}
    known = {name for names in parts.values() for name in names}
    for name in only:
        if name not in known:
            raise SettingError(f"No {by} is called {name!r}", hint=did_you_mean(name, known))
    return {graph: [name for name in names if not only or name in only] for graph, names in parts.items()}
