"""What a model is made from, as the user says it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.errors import CheckpointError, SettingError


@dataclass(frozen=True)
class Sources:
    """A checkpoint and what is put into it.

    Attributes:
        checkpoint: folder in diffusers' layout, single ``.safetensors`` file, or hub id; None for
            the model config's own.
        vae: file, folder or hub id of a VAE instead of the checkpoint's.
        loras: files with the scale of each.
        embeddings: textual inversions, with what a prompt calls each; None for the name in its file.
        tokenizer: folder with ``vocab.json`` and ``merges.txt`` instead of the checkpoint's.
        clip_skip: which of the text encoder's layers answers, from the last; 1 is the last one.
    """

    checkpoint: str | Path | None = None
    vae: str | Path | None = None
    loras: tuple[tuple[Path, float], ...] = ()
    embeddings: tuple[tuple[str | None, Path], ...] = ()
    tokenizer: Path | None = None
    clip_skip: int = 1


def existing_file(text: str | Path) -> Path:
    """The path of a file that must be there.

    Raises:
        CheckpointError: it isn't.
    """
    path = Path(text).expanduser()
    if not path.is_file():
        raise CheckpointError(f"{path} is missing", why="There is no such file.", hint="Is the path right?")
    return path


def parse_lora(text: str) -> tuple[Path, float]:
    """``PATH[:scale]``; the scale is 1 if none is given.

    Raises:
        CheckpointError: there is no such file.
        SettingError: what follows the colon is no scale.
    """
    name, colon, scale = text.rpartition(":")
    if not colon or Path(text).expanduser().exists():
        return existing_file(text), 1.0
    path = existing_file(name)
    try:
        value = float(scale)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingError(f"{scale!r} is no scale of a LoRA", hint=f"Give a number, such as {name}:0.8.")
    return path, value


def parse_embedding(text: str) -> tuple[str | None, Path]:
    """``[NAME=]PATH``; without a name it is the one in the file.

    Raises:
        CheckpointError: there is no such file.
        SettingError: an empty name.
    """
    name, equals, path = text.partition("=")
    if not equals or Path(text).expanduser().exists():
        return None, existing_file(text)
    if not name.strip():
        raise SettingError(
            f"{text!r} gives an embedding an empty name", hint="Give NAME=PATH, such as cat=cat.safetensors."
        )
    return name.strip(), existing_file(path)
