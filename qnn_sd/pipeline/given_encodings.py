"""Encodings that are given instead of measured: a folder of files in AIMET's format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from qnn_sd.errors import QuantizeError, did_you_mean
from qnn_sd.quantize import ENCODINGS_FILE, read_encodings


def encodings_files(folder: Path, components: Iterable[str]) -> dict[str, Path]:
    """A folder's files by the names that they are for: ``<component>.json``, or what quantize has written.

    Args:
        folder: with files, or with a folder for each component. It need not be there.
        components: whose folders are looked for where no file stands in the folder itself.
    """
    if files := {path.stem: path for path in sorted(folder.glob("*.json"))}:
        return files
    written = {name: folder / name / ENCODINGS_FILE for name in components}
    return {name: path for name, path in written.items() if path.is_file()}


def given_encodings(folder: Path, components: Sequence[str]) -> dict[str, Path]:
    """The same of a folder that was typed, each file read once to see whether it can be used.

    Raises:
        QuantizeError: there is none, one that no component has the name of, or one that is not in AIMET's format.
    """
    files = ", ".join(f"{name}.json" for name in components)
    hint = f"Give a folder with files that are named after components: {files}."
    if folder.is_file():
        raise QuantizeError(f"{folder} is no folder", why="It is a file.", hint=hint)
    found = encodings_files(folder, components)
    if not found:
        raise QuantizeError(f"{folder} holds no encodings", why="It has no .json file, or is no folder.", hint=hint)
    for name, path in found.items():
        if name not in components:
            raise QuantizeError(f"{path} is for no component", why=did_you_mean(name, components), hint=hint)
        read_encodings(path)
    return found
