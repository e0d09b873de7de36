"""Textual inversion (Gal et al. 2022): learned token embeddings, called by a name in the prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint.kinds_of_file import other_kind
from qnn_sd.export.checkpoint.misfit import Base, embedding_of_other_width
from qnn_sd.export.checkpoint.not_weights import refuse_pickles_in, weights_in
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile
from qnn_sd.export.checkpoint.tensors import Array

# The tensor's names in files of trainers that name the file and not the token; diffusers names it after the token.
_UNNAMED = ("emb_params", "string_to_param.*", "*", "clip_l")
_SDXL = "clip_g"
# Before the embeddings that a LoRA brings along: bundle_emb.NAME.TENSOR.
BUNDLED = "bundle_emb."
_IN_BUNDLE = re.compile(r"(?P<name>.+?)\.(string_to_param\.\*|[^.]+)")
# Names of files that say nothing.
FILES = ("learned_embeds.safetensors",)


@dataclass(frozen=True)
class Embedding:
    """One textual inversion.

    Attributes:
        name: what a prompt calls it.
        path: its file.
        vectors: [n, D] float32; the name stands for n tokens.
        given: what was typed, file, folder or hub id; None for one that a LoRA brings along.
    """

    name: str
    path: Path
    vectors: Array
    given: str | Path | None = None


def embedding_file(place: Path) -> Path:
    """The file of a textual inversion that is given by its file or folder.

    Raises:
        CheckpointError: the folder holds none, or several.
    """
    if not place.is_dir():
        return place
    found = [path for name in FILES if (path := place / name).is_file()] or weights_in(place)
    if len(found) == 1:
        return found[0]
    if found:
        raise CheckpointError(
            f"{place} is a folder with several embeddings",
            why=f"It holds {', '.join(path.name for path in found[:5])}.",
            hint=f"Give one: --embedding {found[0]}.",
        )
    refuse_pickles_in(place)
    raise CheckpointError(
        f"{place} is a folder with no embedding",
        why=f"It has no .safetensors file, such as {FILES[0]}.",
        hint="Give the embedding's file.",
    )


def read_embedding(given: str | Path, path: Path, name: str | None, base: Base) -> Embedding:
    """A textual inversion from its file.

    Args:
        given: what was typed.
        path: the file, in A1111's or diffusers' layout.
        name: what a prompt calls it; None for the name in the file or, without one, the file's own.
        base: the checkpoint, as messages call it, with the width of its text encoder's embeddings.

    Raises:
        CheckpointError: a damaged file, or one that is no embedding of that width.
        UnsupportedModelError: an embedding for SDXL.
    """
    file = SafetensorsFile(path)
    if _SDXL in file.shapes:
        raise UnsupportedModelError(
            f"{path} is a textual inversion for SDXL",
            why=f"It has {', '.join(sorted(file.shapes))}.",
            hint="Use one for Stable Diffusion 1.x.",
        )
    # Some files say more about the training beside the vectors, a count of steps for instance.
    tensors = [each for each, shape in file.shapes.items() if shape] or list(file.shapes)
    key = next((each for each in _UNNAMED if each in file.shapes), next(iter(tensors), ""))
    if not key or (key not in _UNNAMED and len(tensors) > 1):
        raise other_kind(path, file.shapes, "--embedding") or CheckpointError(
            f"{path} is no textual inversion",
            why=f"It has {len(file.shapes)} tensors; one is expected, {_UNNAMED[0]} or named after its token.",
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
    own = _own_name(given, path) if key in _UNNAMED else key
    if bundled := _IN_BUNDLE.fullmatch(key.removeprefix(BUNDLED)) if key.startswith(BUNDLED) else None:
        own = bundled["name"]
    return Embedding(name or own, path, file.read(key).reshape(vectors), given)


def _own_name(given: str | Path, path: Path) -> str:
    """What an embedding is called whose file names no token: as the file, or the folder or model around it."""
    if path.name not in FILES:
        return path.stem
    around = path.parent if Path(given) == path else Path(str(given))
    # One of a hub model's files may be given by its name there.
    return around.name.removesuffix(path.suffix)


def bundled_embeddings(file: SafetensorsFile, width: int) -> tuple[list[Embedding], list[str]]:
    """The textual inversions that a LoRA's file brings along, and a line for each that can't be used.

    Args:
        file: the LoRA's.
        width: of the text encoder's embeddings.

    Raises:
        CheckpointError: their numbers can't be read.
    """
    tensors: dict[str, list[str]] = {}
    for key in file.shapes:
        if key.startswith(BUNDLED):
            inside = _IN_BUNDLE.fullmatch(key.removeprefix(BUNDLED))
            tensors.setdefault(inside["name"] if inside else key.removeprefix(BUNDLED), []).append(key)
    found, left = [], []
    for name, keys in tensors.items():
        key = next((each for each in keys if each.rsplit(".", 1)[-1] == "clip_l"), keys[0])
        shape = file.shapes[key]
        vectors = shape if len(shape) == 2 else (1, *shape)
        if len(vectors) == 2 and vectors[1] == width and vectors[0] and not any(_SDXL in each for each in keys):
            found.append(Embedding(name, file.path, file.read(key).reshape(vectors)))
        else:
            left.append(
                f"the embedding {name} in {file.path.name} is left out: its shape is {list(shape)}, not [n, {width}]"
            )
    return found, left


def with_bundled(given: Sequence[Embedding], bundled: Sequence[Embedding]) -> tuple[list[Embedding], list[str]]:
    """The embeddings of a checkpoint: those that were given, then those that LoRAs bring along.

    Names count in any case. One that was given counts before a LoRA's, and the first LoRA's before the others'.

    Args:
        given: what the user gave.
        bundled: of the LoRAs, in their order.

    Returns:
        The embeddings, and lines about the LoRAs' own: which a prompt can call, and which are left out.
    """
    first = {each.name.lower(): each for each in given}
    by_name = {each.name for each in given}
    brought: dict[Path, list[str]] = {}
    left: dict[str, None] = {}
    for each in bundled:
        counts = first.setdefault(each.name.lower(), each)
        if counts is each:
            brought.setdefault(each.path, []).append(each.name)
        elif counts.path != each.path:
            left[_left_out(each, counts)] = None
    lines = [
        f"{path.name} brings embeddings along, which a prompt calls by their names, unless those are words of "
        f"the tokenizer: {', '.join(names)}"
        for path, names in brought.items()
    ]
    return [*given, *(each for each in bundled if each.name not in by_name)], [*lines, *left]


def _left_out(bundled: Embedding, counts: Embedding) -> str:
    ours, theirs = bundled.path.name, counts.path.name
    if ours == theirs:
        ours, theirs = str(bundled.path), str(counts.path)
    whose = f"{theirs} (--embedding)" if counts.given is not None else theirs
    return f"the embedding {bundled.name} in {ours} is left out: the one in {whose} is used"
