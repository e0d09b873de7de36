"""The options of ``qnn-sd verify --bisect``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from qnn_sd.cli.command_line import is_typed
from qnn_sd.cli.help import CHECKS, OUTPUT, option
from qnn_sd.cli.options import Command, component_option, refuse_bad_output, refuse_typed
from qnn_sd.config import DeviceProfile
from qnn_sd.errors import SettingError
from qnn_sd.pipeline import COMPONENTS

_OF_A_GRAPH = ("wanted", "graph", "inputs", "reproduction", "soc", "as_json", "quiet", "debug")


@dataclass(frozen=True)
class BisectRequest:
    """What is bisected.

    Attributes:
        components: of the checkpoint.
        graph: folder of a graph instead.
        inputs: file with inputs of that graph; None for seeded ones.
        reproduction: the file to write; None for one named after the graph.
    """

    components: tuple[str, ...]
    graph: Path | None
    inputs: Path | None
    reproduction: Path | None

    def path_for(self, name: str, profile: DeviceProfile) -> Path:
        """Where the reproduction of a graph goes."""
        return self.reproduction or Path(f"{name}.{profile.soc}.reproduction.zip")


def bisect_options(command: Command) -> Command:
    """``--bisect`` and what goes with it, handed on as ``bisect_request``: None without it."""

    @functools.wraps(command)
    def with_request(
        wanted: bool,
        components: tuple[str, ...],
        graph: Path | None,
        inputs: Path | None,
        reproduction: Path | None,
        **rest: Any,
    ) -> Any:
        typed = BisectRequest(components, graph, inputs, reproduction)
        _refuse_contradictions(wanted, typed)
        return command(bisect_request=typed if wanted else None, **rest)

    wrapped: Command = with_request
    for each in _OPTIONS:
        wrapped = each(wrapped)
    return wrapped


_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    option(
        "--reproduction",
        group=OUTPUT,
        type=click.Path(path_type=Path),
        metavar="FILE.zip",
        default_text="<graph>.<soc>.reproduction.zip",
        help="With --bisect: the few ops that show the fault, to send to the vendor; without weights, where possible.",
    ),
    option(
        "--inputs",
        group=CHECKS,
        type=click.Path(path_type=Path),
        metavar="FILE.npz",
        default_text="random ones within the encodings",
        help="With --graph: its inputs, by name.",
    ),
    option(
        "--graph",
        group=CHECKS,
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        default_text="the checkpoint's",
        help="With --bisect: folder with any QDQ graph, model.onnx; it is compiled as it is.",
    ),
    component_option(COMPONENTS, "bisect, whatever the gates say of it, or to run with --hub"),
    option(
        "--bisect",
        "wanted",
        group=CHECKS,
        is_flag=True,
        help="Find the first op that the HTP refuses or gets wrong: cut the graph and compile it again, tens of times.",
    ),
)


def _refuse_contradictions(wanted: bool, typed: BisectRequest) -> None:
    """Raises for options that don't go together, or a place that can't be written."""
    if not wanted:
        given = {
            "--graph": typed.graph,
            "--inputs": typed.inputs,
            "--reproduction": typed.reproduction,
            "--component": typed.components != COMPONENTS,
        }
        for name, value in given.items():
            if value:
                raise SettingError(f"{name} has no meaning without --bisect", hint="Add --bisect, or leave it out.")
        return
    if typed.graph is not None:
        refuse_typed(
            _OF_A_GRAPH,
            "with --graph",
            why="The graph is bisected as it is: nothing is built.",
            hint="Leave one of them out.",
        )
    for name in ("report", "prompt"):
        if is_typed(click.get_current_context(), name):
            raise SettingError(f"--{name} has no meaning with --bisect", hint="Leave one of them out.")
    if typed.graph is None and typed.inputs is not None:
        raise SettingError("--inputs has no meaning without --graph", hint="A component has its recorded inputs.")
    if typed.reproduction is not None:
        refuse_bad_output(typed.reproduction, ".zip", "A reproduction is a zip file.")
        if typed.graph is None and len(typed.components) > 1:
            raise SettingError(
                "One file can't take the reproductions of several components", hint="Name one --component."
            )
