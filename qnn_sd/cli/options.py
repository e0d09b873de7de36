"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

DEFAULT_MODEL = "tiny-sd"
DEFAULT_SOC = "sm8650"

Command = Callable[..., Any]


def output_options(command: Command) -> Command:
    """``--json``, ``--quiet`` and ``--debug``."""
    for option in (
        click.option("--debug", is_flag=True, help="Show the traceback of a failure."),
        click.option("--quiet", "-q", is_flag=True, help="No progress, no remarks."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, nothing else."),
    ):
        command = option(command)
    return command


def model_options(command: Command) -> Command:
    """``--model``, ``--checkpoint`` and ``--cache``."""
    for option in (
        click.option("--cache", type=click.Path(path_type=Path), help="Folder for what is built [QNN_SD_CACHE]."),
        click.option(
            "--checkpoint", type=click.Path(path_type=Path), help="Folder in diffusers' layout, for the model's own."
        ),
        click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Model config to build."),
    ):
        command = option(command)
    return command
