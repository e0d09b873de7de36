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
from qnn_sd.cli.docs import HTP_FORMS
from qnn_sd.cli.documents.cost import By
from qnn_sd.cli.help import MEASUREMENT, TARGET, HelpCommand, option
from qnn_sd.cli.options import component_option, output_options, plot_option, refuse_bad_output, refuse_typed
from qnn_sd.cli.plan import show_plan
from qnn_sd.config import ModelConfig, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError, did_you_mean
from qnn_sd.pipeline import COMPONENTS

# Those that mean something for a graph that was given: nothing is built then.
_OF_A_GRAPH = (
    *("graph", "components", "by", "only", "soc", "scale", "bound", "plot"),
    *("as_json", "quiet", "debug"),
)


@click.command(
    "cost",
    cls=HelpCommand,
    examples=(
        ("Estimate the demo model's components, whole and block by block", "qnn-sd cost"),
        (
            "Estimate the UNet of Stable Diffusion 1.5 on a Snapdragon 8 Gen 3, and draw its blocks",
            "qnn-sd cost --model sd15 --component unet --soc sm8650 --scale --plot unet.svg",
        ),
    ),
    docs_page=HTP_FORMS,
)
@component_option(COMPONENTS, "measure")
@option(
    "--by",
    group=MEASUREMENT,
    type=click.Choice(["whole", "level", "block"]),
    default="block",
    help="What is compiled alone beside the whole graph; a level is a resolution.",
)
@option(
    "--only",
    group=MEASUREMENT,
    multiple=True,
    metavar="NAME",
    default_text="all, and the whole",
    help="Block or level to measure, without the whole. Repeatable.",
)
@option(
    "--soc",
    group=TARGET,
    metavar="SOC",
    default=ESTIMATED_SOC,
    help="SoC whose time is estimated; the compiler has an estimate for few.",
)
@option(
    "--scale",
    group=TARGET,
    is_flag=True,
    help=f"Where the compiler has no estimate for the SoC: scale that of {ESTIMATED_SOC} by published times of both.",
)
@option("--bound", group=MEASUREMENT, is_flag=True, help="Also bound the time of the whole, where ops have no cost.")
@plot_option("time and traffic of each block, in the graph's order")
@option(
    "--graph",
    group=MEASUREMENT,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default_text="the checkpoint's",
    help="Folder with any QDQ graph, model.onnx. --component says by whose published times --scale scales.",
)
@quantize_options
@output_options
def cost_command(
    components: tuple[str, ...],
    by: By,
    only: tuple[str, ...],
    soc: str,
    scale: bool,
    bound: bool,
    plot: Path | None,
    graph: Path | None,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Estimate what graphs cost on the HTP, whole and block by block, without a phone.

    Times are the QNN compiler's estimate; memory traffic is what the compiled graph moves. A graph that isn't quantized
    yet is measured with stand-in encodings: nothing is calibrated for it.
    """
    scaling = scaling_for(load_profile(soc), scale)
    _refuse_contradictions(by, only, bound, plot)
    if plot is not None:
        refuse_bad_output(plot, ".svg", "The image is SVG.")
    model: ModelConfig | None = None
    if graph is not None:
        components = _of_the_graph(components, scaling.scales)
        subjects = [given_graph(graph, "".join(components))]
    else:
        pipeline, subjects = components_of(build_request, components, console, 1 if by == "whole" else 2)
        if build_request.dry_run:
            _refuse_unknown_parts(subjects, by, only, console)
            show_plan(console, pipeline)
            return
        model = pipeline.model
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
    for given, name in ((only, "--only"), (plot, "--plot")):
        if by == "whole" and given:
            raise SettingError(f"{name} has no meaning with --by whole", hint="Choose --by block or --by level.")
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
    _refuse_unknown({name for names in parts.values() for name in names}, by, only)
    return {graph: [name for name in names if not only or name in only] for graph, names in parts.items()}


def _refuse_unknown_parts(subjects: Sequence[ComponentGraphs], by: str, only: Sequence[str], console: Console) -> None:
    """The same for a dry run, as far as the graphs are there.

    Raises:
        SettingError: all graphs are there, and none has a part of that name.
    """
    if not only:
        return
    there = [subject for subject in subjects if subject.folder.is_dir()]
    known = {name for subject in there for name in subject.parts(by == "level")}
    missing = ", ".join(subject.name for subject in subjects if subject not in there)
    if not missing:
        _refuse_unknown(known, by, only)
    elif not known.issuperset(only):
        console.warn(f"names after --only can't be checked before the graphs are exported: {missing}")


def _refuse_unknown(known: set[str], by: str, only: Sequence[str]) -> None:
    for name in only:
        if name not in known:
            raise SettingError(f"No {by} is called {name!r}", hint=did_you_mean(name, known))
