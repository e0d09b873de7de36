"""What a checkpoint is, whatever it is called and wherever it stands: for an image's metadata."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from qnn_sd import resources
from qnn_sd.artifact import sha256_of_file, sha256_of_json
from qnn_sd.export.checkpoint.embeddings import Embedding
from qnn_sd.export.checkpoint.lora import Lora
from qnn_sd.export.checkpoint.parts import Layout, Part
from qnn_sd.export.checkpoint.sources import Sources
from qnn_sd.image_metadata import ImageEmbedding, ImageLora, ImageSource, SourceKind


@dataclass(frozen=True)
class CheckpointIdentity:
    """A checkpoint and what was put into it.

    Attributes:
        checkpoint: text encoder and UNet.
        vae: the checkpoint's own, or the one that is used instead.
        loras: as they are merged.
        embeddings: with the names that prompts call them by.
        text_encoder: the one that is used instead of the checkpoint's; None for its own.
    """

    checkpoint: ImageSource
    vae: ImageSource
    loras: tuple[ImageLora, ...]
    embeddings: tuple[ImageEmbedding, ...]
    text_encoder: ImageSource | None = None


def identify(
    layout: Layout, loras: Sequence[Lora], embeddings: Sequence[Embedding], sources: Sources
) -> CheckpointIdentity:
    """Names and hashes of an open checkpoint's files, each read once a process.

    Args:
        layout: its networks.
        loras: what is merged into them.
        embeddings: textual inversions.
        sources: what all was opened from.
    """
    return CheckpointIdentity(
        _checkpoint(layout, sources),
        _vae(layout, sources),
        tuple(
            ImageLora(
                name=_name(each.given),
                kind=_kind(each.given),
                sha256=each.files.sha256,
                tensors_sha256=_sha256_of_tensors(each.files.weights[0]),
                scale=each.scale,
            )
            for each in loras
        ),
        tuple(
            ImageEmbedding(
                name=each.name, file=_name(each.given), kind=_kind(each.given), sha256=sha256_of_file(each.path)
            )
            for each in embeddings
            # What a LoRA brings along, its own hash says.
            if each.given is not None
        ),
        None if sources.text_encoder is None else _source(sources.text_encoder, _digest(layout.parts["text_encoder"])),
    )


def _checkpoint(layout: Layout, sources: Sources) -> ImageSource:
    assert sources.checkpoint is not None, "an open checkpoint comes from somewhere"
    if layout.origin.is_file():
        digest = sha256_of_file(layout.origin)
    else:
        own = ("text_encoder", "unet") if sources.text_encoder is None else ("unet",)
        parts = {name: _content(layout.parts[name]) for name in own}
        digest = sha256_of_json({**parts, "scheduler": dict(layout.scheduler)})
    return _source(sources.checkpoint, digest)


def _vae(layout: Layout, sources: Sources) -> ImageSource:
    digest = _digest(layout.parts["vae"])
    if sources.vae is None:
        return ImageSource(name="vae", kind="checkpoint", sha256=digest)
    return _source(sources.vae, digest)


def _digest(part: Part) -> str:
    return sha256_of_file(part.origin) if part.origin.is_file() else sha256_of_json(_content(part))


def _content(part: Part) -> Mapping[str, Any]:
    return {"config": dict(part.config), **{name: sha256_of_file(path) for name, path in part.files.items()}}


def _source(given: str | Path, digest: str) -> ImageSource:
    return ImageSource(name=_name(given), kind=_kind(given), sha256=digest)


def _whole(given: str | Path) -> Path:
    return Path(os.path.abspath(Path(given).expanduser()))  # noqa: PTH100 (".." goes, and a link keeps its name)


def _kind(given: str | Path) -> SourceKind:
    if not Path(given).expanduser().exists():
        return "hub"
    whole = _whole(given)
    return "kit" if whole.is_relative_to(resources.assets()) else "file" if whole.is_file() else "folder"


def _name(given: str | Path) -> str:
    """A hub id; a file's or folder's own name."""
    if not Path(given).expanduser().exists():
        return str(given)
    whole = _whole(given)
    # The name of a home is its user's.
    return _shown("checkpoint" if whole in (Path.home(), Path(whole.anchor)) else whole.name)


def _shown(name: str) -> str:
    """A file's name with a question mark for what can't be shown."""
    return "".join(letter if letter.isprintable() and letter != "\\" else "?" for letter in name)


@cache
def _sha256_of_tensors(path: Path) -> str:
    """Hex SHA-256 of a safetensors file after its header (8 bytes with the header's length, then the header)."""
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        return hashlib.file_digest(file, "sha256").hexdigest()
