"""What the commands that build share: copies of an artifact, and what a document says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from qnn_sd import output_files
from qnn_sd.artifact import Artifact
from qnn_sd.cli.documents.build import StageOutput
from qnn_sd.cli.help import OUTPUT, option
from qnn_sd.config import ModelConfig
from qnn_sd.schemas import ImageSize


def copies_option(content: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``-o``, a folder for copies.

    Args:
        content: of a component's folder, for the help.
    """
    return option(
        "-o",
        "--output",
        group=OUTPUT,
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        default_text="the cache alone",
        help=f"Folder for copies: <component>/{content}.",
    )


def refuse_bad_copies(output: Path | None, components: Iterable[str]) -> None:
    """Raises for folders that can't be made, before any work."""
    if output is not None:
        for name in components:
            output_files.probe_new_folder(output / name)


def put_in_place(made: Mapping[str, Artifact], output: Path | None) -> dict[str, Path]:
    """Where each component's files are for the user: in the cache, or copied.

    Raises:
        OutputError: a copy can't be written.
    """
    if output is None:
        return {name: stage.folder for name, stage in made.items()}
    for name, stage in made.items():
        output_files.copy_out(stage.folder, output / name)
    return {name: output / name for name in made}


def stage_output(stage: Artifact, place: Path) -> StageOutput:
    """What the JSON document says of one component.

    Args:
        stage: what was made.
        place: the folder where its files are for the user.
    """
    return StageOutput(
        folder=str(place),
        bytes=sum(path.stat().st_size for path in place.iterdir()),
        seconds=round(stage.seconds, 3),
        cached=stage.cached,
    )


def image_size(model: ModelConfig) -> ImageSize:
    """Of a model's images."""
    return ImageSize(width=model.width, height=model.height)
