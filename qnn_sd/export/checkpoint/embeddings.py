"""Textual inversion (Gal et al. 2022): learned token embeddings, called by a name in the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint.misfit import Base, embedding_of_other_width
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile
from qnn_sd.export.checkpoint.tensors import Array

# The tensor's name in files of A1111's trainers; diffusers names it after the token.
_A1111 = "emb_params"
_SDXL = ("clip_l", "clip_g")


@dataclass(frozen=True)
class Embedding:
    """One textual inversion.

    Attributes:
        name: what a prompt calls it.
        path: its file.
        vectors: [n, D] float32; the name stands for n tokens.
    """

    name: str
    path: Path
    vectors: Array


def read_embedding(path: Path, name: str | None, base: Base) -> Embedding:
    """A textual inversion from its file.

    Args:
        path: the file, in A1111's or diffusers' layout.
        name: what a prompt calls it; None for the name in the file or, without one, the file's own.
        base: the checkpoint, as messages call it, with the width of its text encoder's embeddings.

    Raises:
        CheckpointError: a damaged file, or one that is no embedding of that width.
        UnsupportedModelError: an embedding for SDXL.
    """
    file = SafetensorsFile(path)
    if any(key in file.shapes for key in _SDXL):
        raise UnsupportedModelError(
            f"{path} is a textual inversion for SDXL",
            why=f"It has {', '.join(sorted(file.shapes))}.",
            hint="Use one for Stable Diffusion 1.x.",
        )
    # A1111's files may say more about the training beside the vectors.
    key = _A1111 if _A1111 in file.shapes else next(iter(file.shapes), "")
    if not file.shapes or (key != _A1111 and len(file.shapes) > 1):
        raise CheckpointError(
            f"{path} is no textual inversion",
            why=f"It has {len(file.shapes)} tensors; one named {_A1111}, or one named after its token, is expected.",
            hint="Is this an embedding? A LoRA is given with --lora.",
        )
    shape = file.shapes[key]
    vectors = shape if len(shape) == 2 else (1, *shape)
    if len(vectors) != 2 or vectors[1] != base.width or not vectors[0]:
        wrong = f"{key} in {path} has shape {list(shape)}, not [n, {base.width}]"
        if len(vectors) == 2 and all(vectors):
            raise embedding_of_other_width(path, f"{wrong}.", vectors[1], base)
        raise CheckpointError(
            wrong,
            why="The text encoder's token embeddings have that width.",
            hint="Use a textual inversion for this checkpoint's architecture.",
        )
    return Embedding(name or (path.stem if key == _A1111 else key), path, file.read(key).reshape(vectors))
