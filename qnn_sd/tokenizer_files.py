"""What a tokenizer's folder holds, in a checkpoint as in a bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tokenizers.models import BPE

from qnn_sd.errors import CheckpointError

# CLIP's own two files, or the one that transformers 5 writes instead.
_SEPARATE = ("vocab.json", "merges.txt")
_JOINT = ("tokenizer.json",)
ALL_FILES = (*_SEPARATE, *_JOINT)
# CLIP's special tokens. The latter also pads prompts, unless a tokenizer says otherwise.
START, END = "<|startoftext|>", "<|endoftext|>"


@dataclass(frozen=True)
class Vocabulary:
    """A byte-level BPE: what a tokenizer's files say, however they are written.

    Attributes:
        tokens: with their ids.
        merges: in order.
        origin: what messages call it: the folder that it was read from.
    """

    tokens: Mapping[str, int]
    merges: Sequence[tuple[str, str]]
    origin: Path = field(compare=False)

    @cached_property
    def files(self) -> dict[str, str]:
        """The texts of ``vocab.json`` and ``merges.txt``: the same for the same tokens and merges."""
        by_id = dict(sorted(self.tokens.items(), key=lambda item: (item[1], item[0])))
        merges = "".join(f"{left} {right}\n" for left, right in self.merges)
        # Escaped where it isn't ASCII: any token can be written then, also a lone surrogate.
        vocabulary = json.dumps(by_id, separators=(",", ":"))
        return {_SEPARATE[0]: f"{vocabulary}\n", _SEPARATE[1]: f"#version: 0.2\n{merges}"}

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of its content: it doesn't depend on where it came from, nor on how its files were written."""
        digest = hashlib.sha256()
        for text in self.files.values():
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()


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


def read_vocabulary(folder: Path) -> Vocabulary:
    """A byte-level BPE's tokens with their ids, and its merges in order.

    Raises:
        CheckpointError: the files are missing or malformed.
    """
    names = tokenizer_files(folder)
    try:
        if names == _SEPARATE:
            tokens, merges = BPE.read_file(*(str(folder / name) for name in names))
            return Vocabulary(tokens, merges, folder)
        model = json.loads((folder / names[0]).read_text("utf-8"))["model"]
        # Older files have each merge as one text.
        pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
        merges = [(str(left), str(right)) for left, right in pairs]
        if any(len(part.split()) != 1 for merge in merges for part in merge):
            raise ValueError("a merge has a space in it, or nothing")
        return Vocabulary({str(token): int(number) for token, number in model["vocab"].items()}, merges, folder)
    except Exception as error:
        raise CheckpointError(
            f"The tokenizer in {folder} can't be read", why=str(error), hint="Is the checkpoint complete?"
        ) from error
