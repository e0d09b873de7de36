"""What the commands share that end with one artifact a component: copies of it, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from qnn_sd import output_files
from qnn_sd.artifact import Artifact


def copies_option(content: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``-o``, a folder for copies.

    Args:
        content: of a component's folder, for the help.
    """
    text = f"Folder for copies: <component>/{content} [the cache alone]."
    return click.option("-o", "--output", type=click.Path(path_type=Path), help=text)


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


def metadata_of(stage: Artifact, place: Path) -> dict[str, Any]:
    """What the JSON document says of one component."""
    return {
        "folder": str(place),
        "bytes": sum(path.stat().st_size for path in place.iterdir()),
        "seconds": round(stage.seconds, 3),
        "cached": stage.cached,
    }
