"""A prompt's tokens in chunks: CLIP reads 75 at a time, and a longer prompt is several such texts.

The borders are those of AUTOMATIC1111's web UI: at ``BREAK``; else where 75 tokens are full, or behind the last comma
if at most 20 tokens stand behind it; a textual inversion isn't torn apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Tokens behind a comma that move to the next chunk with the word that didn't fit.
COMMA_BACKTRACK = 20


@dataclass(frozen=True)
class Piece:
    """What can't be torn apart: a token, or the tokens that a textual inversion's name stands for.

    Attributes:
        ids: its tokens.
        start: where it stands in its text.
        name: of the textual inversion; None for a token of the vocabulary.
        weight: of its text states.
        segment: number of the prompt's segment that it is from.
    """

    ids: tuple[int, ...]
    start: int
    name: str | None = None
    weight: float = 1.0
    segment: int = 0


@dataclass(frozen=True)
class Chunk:
    """What the text encoder is fed at once.

    Attributes:
        ids: [1, length] int32, start and end included, padded.
        weights: [length] float32, what its text states are multiplied with; None where all are 1.
    """

    ids: NDArray[np.int32]
    weights: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Tokens:
    """A prompt in tokens.

    Attributes:
        chunks: one, or several of a long prompt.
        used: how many are the prompt's own.
        cut: the end of the prompt that didn't fit, as it is spelled; empty if all did.
        called: the textual inversions that it calls, cut ones included.
    """

    chunks: tuple[Chunk, ...]
    used: int
    cut: str = ""
    called: frozenset[str] = frozenset()

    @property
    def ids(self) -> NDArray[np.int32]:
        """Of the first chunk."""
        return self.chunks[0].ids


# A token with its weight, and the piece that it is of.
Place = tuple[int, Piece]


def in_one_row(pieces: Iterable[Piece]) -> list[Place]:
    """All tokens, one after the other."""
    return [(row, piece) for piece in pieces for row in piece.ids]


def in_chunks(pieces: Sequence[Piece | None], room: int, comma: int | None) -> list[list[Place]]:
    """The tokens of each chunk, without start and end; at least one chunk, which may be empty.

    Args:
        pieces: the prompt's; None for a border.
        room: tokens that a chunk takes.
        comma: the comma's token.
    """
    chunks: list[list[Place]] = []
    chunk: list[Place] = []
    last_comma = -1

    def next_chunk(moved: list[Place] | None = None) -> None:
        nonlocal chunk, last_comma
        chunks.append(chunk)
        chunk, last_comma = moved or [], -1

    for piece in pieces:
        if piece is None:
            next_chunk()
            continue
        if piece.name is None and piece.ids[0] == comma:
            last_comma = len(chunk)
        elif len(chunk) == room and last_comma >= 0 and room - last_comma <= COMMA_BACKTRACK:
            moved, chunk = chunk[last_comma + 1 :], chunk[: last_comma + 1]
            next_chunk(moved)
        if len(chunk) == room or room - len(chunk) < len(piece.ids) <= room:
            next_chunk()
        for row in piece.ids:
            # One of more vectors than a chunk takes.
            if len(chunk) == room:
                next_chunk()
            chunk.append((row, piece))
    if chunk or not chunks:
        chunks.append(chunk)
    return chunks
