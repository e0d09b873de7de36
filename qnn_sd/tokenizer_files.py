"""What a tokenizer's folder holds, in a checkpoint as in a bundle."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers.models import BPE

from qnn_sd.errors import CheckpointError

# CLIP's own two files, or the one that transformers 5 writes instead.
_SEPARATE = ("vocab.json", "merges.txt")
_JOINT = ("tokenizer.json",)
ALL_FILES = (*_SEPARATE, *_JOINT)


def tokenizer_files(folder: Path) -> tuple[str, ...]:
    """Names of the files that make a folder's tokenizer.

    Raises:
        CheckpointError: one is missing.
    """
    for names in (_SEPARATE, _JOINT):
        if all((folder / name).is_file() for name in names):
            return names
    missing = next(name for name in _SEPARATE if not (folder / name).is_file())
    raise CheckpointError(
        f"{folder / missing} is missing",
        why="A tokenizer is vocab.json with merges.txt, or tokenizer.json.",
        hint="Is the checkpoint complete? Another folder is given with --tokenizer.",
    )


def read_vocabulary(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A byte-level BPE's tokens with their ids, and its merges in order.

    Raises:
        CheckpointError: the files are missing or malformed.
    """
    names = tokenizer_files(folder)
    try:
        if names == _SEPARATE:
            vocabulary, merges = BPE.read_file(*(str(folder / name) for name in names))
            return vocabulary, merges
        model = json.loads((folder / names[0]).read_text("utf-8"))["model"]
        # Older files have each merge as one text.
        pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
        merges = [(str(left), str(right)) for left, right in pairs]
        return {str(token): int(number) for token, number in model["vocab"].items()}, merges
    except Exception as error:
        raise CheckpointError(
            f"The tokenizer in {folder} can't be read", why=str(error), hint="Is the checkpoint complete?"
        ) from error
