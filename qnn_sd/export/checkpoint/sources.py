"""What a model is made from, as the user says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qnn_sd.errors import SettingError
from qnn_sd.export.checkpoint.hub import file_on_hub, is_hub_id
from qnn_sd.export.checkpoint.nearby import missing
from qnn_sd.export.checkpoint.not_weights import broken_link
from qnn_sd.prompt_tags import scale_number


@dataclass(frozen=True)
class Sources:
    """A checkpoint and what is put into it.

    Attributes:
        checkpoint: folder in diffusers' layout, single ``.safetensors`` file, or hub id; None for
            the model config's own.
        vae: file, folder or hub id of a VAE instead of the checkpoint's.
        loras: files, folders or hub ids, with the scale of each.
        embeddings: textual inversions, file, folder or hub id, with what a prompt calls each; None for the name in its
            file.
        tokenizer: folder with ``vocab.json`` and ``merges.txt`` instead of the checkpoint's.
        text_encoder: file, folder or hub id of a text encoder instead of the checkpoint's.
        prediction: what the UNet predicts, where its files don't say it or are wrong.
        clip_skip: which of the text encoder's layers answers, from the last one in its file, which is 1; None for the
            one that its config says, the last one as a rule.
    """

    checkpoint: str | Path | None = None
    vae: str | Path | None = None
    loras: tuple[tuple[str | Path, float], ...] = ()
    embeddings: tuple[tuple[str | None, str | Path], ...] = ()
    tokenizer: Path | None = None
    text_encoder: str | Path | None = None
    prediction: Literal["epsilon", "v"] | None = None
    clip_skip: int | None = None


def existing_or_hub(text: str, option: str) -> str | Path:
    """The path of a file or folder that must be there, or a hub id.

    Args:
        text: what was typed.
        option: after which.

    Raises:
        CheckpointError: neither.
    """
    path = Path(text).expanduser()
    if text and path.exists():
        return path
    if broken := broken_link(path):
        raise broken
    if is_hub_id(text) or file_on_hub(text):
        return text
    raise missing(text, option)


def parse_lora(text: str) -> tuple[str | Path, float]:
    """``PATH[:scale]``; the scale is 1 if none is given. A path may be a hub id.

    Raises:
        CheckpointError: there is no such file.
        SettingError: what follows the colon is no scale.
    """
    name, colon, scale = text.rpartition(":")
    # A colon in an address, or a drive's, has no scale behind it.
    if not colon or "/" in scale or "\\" in scale or Path(text).expanduser().exists():
        return existing_or_hub(text, "--lora"), 1.0
    path = existing_or_hub(name, "--lora")
    value = scale_number(scale)
    if value is None:
        raise SettingError(
            f"{scale!r} is no scale of a LoRA",
            hint=f"Type --lora {name}/{scale} for a file on the hub."
            if scale.endswith(".safetensors")
            else f"Give a number, such as {name}:0.8.",
        )
    return path, value


def parse_embedding(text: str) -> tuple[str | None, str | Path]:
    """``[NAME=]PATH``; without a name it is the one in the file. A path may be a hub id.

    Raises:
        CheckpointError: there is no such file.
        SettingError: an empty name.
    """
    name, equals, path = text.partition("=")
    if not equals or "://" in name or Path(text).expanduser().exists():
        return None, _unscaled(text)
    if not name.strip():
        raise SettingError(
            f"{text!r} gives an embedding an empty name", hint="Give NAME=PATH, such as cat=cat.safetensors."
        )
    return name.strip(), _unscaled(path)


def _unscaled(text: str) -> str | Path:
    """The path of an embedding, or its hub id.

    Raises:
        CheckpointError: there is no such file.
        SettingError: a scale follows it, as a LoRA's.
    """
    path, colon, scale = text.rpartition(":")
    if colon and re.fullmatch(r"[\d.]+", scale) and Path(path).expanduser().exists():
        raise SettingError(
            f"{text} has a scale, which an embedding can't have here",
            why="Its strength is said where it is called.",
            hint=f"Type --embedding {path}, and (NAME:{scale}) in the prompt.",
        )
    return existing_or_hub(text, "--embedding")
