"""A checkpoint's networks as they lie on disk, whatever the layout: named as diffusers names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile
from qnn_sd.export.checkpoint.tensors import Array

# The networks of a Stable Diffusion checkpoint.
PARTS = ("text_encoder", "unet", "vae")


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies.

    Attributes:
        file: the file that holds it.
        name: its name there.
        shape: as the network takes it; the file may hold the same numbers as a 1x1 convolution.
    """

    file: SafetensorsFile
    name: str
    shape: tuple[int, ...]

    def read(self) -> Array:
        """Its values.

        Raises:
            CheckpointError: they are whole numbers, or not finite.
        """
        return self.file.read(self.name).reshape(self.shape)


@dataclass(frozen=True)
class Part:
    """One network.

    Attributes:
        origin: what messages call it: its file or folder.
        config: as in diffusers' ``config.json``.
        tensors: by diffusers' name.
        files: that hold it, by a name that is the same wherever the checkpoint stands.
        remarks: what a user should know of how it was found.
    """

    origin: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]
    files: Mapping[str, Path]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """What a checkpoint holds.

    Attributes:
        origin: its file or folder.
        parts: those of ``PARTS`` that are there.
        scheduler: the parsed ``scheduler_config.json``.
        tokenizer: folder of its tokenizer, or None if it brings none.
        remarks: what a user should know of the whole.
    """

    origin: Path
    parts: Mapping[str, Part]
    scheduler: Mapping[str, Any]
    tokenizer: Path | None
    remarks: tuple[str, ...] = ()

    @property
    def sources(self) -> list[SafetensorsFile]:
        """The files that its tensors are in."""
        stored = (tensor for part in self.parts.values() for tensor in part.tensors.values())
        return list({each.file.path: each.file for each in stored}.values())


def without_text_model(name: str) -> str:
    """A text encoder's tensor as transformers 5 names it; before, all began with ``text_model.``."""
    return name.removeprefix("text_model.")
