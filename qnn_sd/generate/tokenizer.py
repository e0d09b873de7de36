"""CLIP's tokenizer from a checkpoint's vocabulary and merges."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from qnn_sd.errors import CheckpointError
from qnn_sd.generate.prompt_chunks import Chunk, Piece, Place, Tokens, in_chunks, in_one_row
from qnn_sd.generate.prompt_syntax import Segment, parse_prompt
from qnn_sd.tokenizer_files import END, START, Vocabulary

# What CLIP calls a word (Radford et al. 2021): an English clitic, letters, one digit, or a run of
# anything else that is no space.
_CLITICS = "'s|'t|'re|'ve|'m|'ll|'d"
_WORD = rf"{_CLITICS}|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+"


class ClipTokenizer:
    """Byte-level BPE as CLIP does it.

    Args:
        vocabulary: tokens and merges.
        length: of the padded prompt in tokens.
        padding: the token that pads, or None for the end token.
        added: names of textual inversions, with the ids that each stands for.

    Raises:
        CheckpointError: merges of tokens that aren't there, or a special token that is missing.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        length: int = 77,
        padding: str | None = None,
        added: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        try:
            tokens, merges = dict(vocabulary.tokens), list(vocabulary.merges)
            model = BPE(tokens, merges, unk_token=END, end_of_word_suffix="</w>")
        except Exception as error:  # merges of tokens that aren't in the vocabulary, say
            raise CheckpointError(
                f"The tokenizer in {vocabulary.origin} can't be read",
                why=str(error),
                hint="Is the checkpoint complete?",
            ) from error
        self._tokenizer = Tokenizer(model)
        self._tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        # As in CLIP, the two special tokens are also recognised where a prompt spells them out.
        self._tokenizer.add_special_tokens([START, END])
        ids = [self._tokenizer.token_to_id(token) for token in (START, END, padding or END)]
        if None in ids:
            raise CheckpointError(
                f"The vocabulary in {vocabulary.origin} lacks a special token",
                why=f"It needs {START} and {END}.",
                hint="Is this CLIP's tokenizer?",
            )
        self._start, self._end, self._padding = ids
        self._comma = self._tokenizer.token_to_id(",</w>")
        # Longer names first: one may begin with another.
        self._added = {name: tuple(rows) for name, rows in (added or {}).items()}
        self._names = sorted(self._added, key=len, reverse=True)
        self._name = {plain: _names_pattern(self._names, plain) for plain in (False, True)}
        self.length = length

    def encode(self, prompt: str, *, plain: bool = True, most: int = 1) -> Tokens:
        """Tokens of a prompt.

        Args:
            prompt: as it was typed.
            plain: whether its marks are words. Plain text is one chunk; what is over its length is cut.
            most: chunks; what is over them is cut.
        """
        # Text from a shell can hold lone surrogates, which are no characters.
        text = prompt.encode("utf-8", "replace").decode("utf-8")
        segments = [Segment(text)] if plain else list(parse_prompt(text).segments)
        pieces = self._all_pieces(segments, plain)
        room = self.length - 2
        if plain:
            row = in_one_row(piece for piece in pieces if piece is not None)
            kept, cut = [row[:room]], row[room:]
        else:
            chunks = in_chunks(pieces, room, self._comma)
            kept, cut = chunks[:most], [place for chunk in chunks[most:] for place in chunk]
        called = frozenset(piece.name for piece in pieces if piece is not None and piece.name is not None)
        return Tokens(
            tuple(map(self._chunk, kept)), sum(map(len, kept)), _text_from(segments, cut[0][1]) if cut else "", called
        )

    def empty_chunk(self) -> Chunk:
        """The chunk of an empty prompt, which fills up a shorter prompt beside a longer one."""
        return self._chunk([])

    def _chunk(self, places: Sequence[Place]) -> Chunk:
        row = [self._start, *(token for token, _ in places), self._end]
        row += [self._padding] * (self.length - len(row))
        weights = np.ones(self.length, np.float32)
        with np.errstate(over="ignore"):  # of infinite ones the states say it
            weights[1 : len(places) + 1] = [piece.weight for _, piece in places]
        return Chunk(np.array([row], np.int32), None if (weights == 1).all() else weights)

    def _all_pieces(self, segments: Sequence[Segment], plain: bool) -> list[Piece | None]:
        found: list[Piece | None] = []
        for number, segment in enumerate(segments):
            if segment.text is None:
                found.append(None)
                continue
            pieces = self._pieces(segment.text, plain)
            found += [replace(piece, weight=segment.weight, segment=number) for piece in pieces]
        return found

    def _pieces(self, text: str, plain: bool) -> list[Piece]:
        if not self._names:
            return self._words(text, 0)
        text = unicodedata.normalize("NFC", text)
        found: list[Piece] = []
        done = 0
        for match in self._name[plain].finditer(text):
            found += self._words(text[done : match.start()], done)
            name = self._names[(match.lastindex or 1) - 1]
            # A textual inversion's name stands for as many tokens as it has vectors.
            found.append(Piece(self._added[name], match.start(), name))
            done = match.end()
        return found + self._words(text[done:], done)

    def _words(self, text: str, offset: int) -> list[Piece]:
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [
            Piece((token,), offset + start) for token, (start, _) in zip(encoding.ids, encoding.offsets, strict=True)
        ]


def _text_from(segments: Sequence[Segment], piece: Piece) -> str:
    """The words from a piece on, as they are spelled."""
    first, *others = segments[piece.segment :]
    return "".join([(first.text or "")[piece.start :], *(each.text or "BREAK" for each in others)]).strip()


def _names_pattern(names: Sequence[str], plain: bool) -> re.Pattern[str]:
    """Finds names of textual inversions as whole words, in any case; each name is a group.

    Args:
        names: longer ones first.
        plain: whether ``embedding:name`` and ``name.safetensors``, as other tools have it, are other words.
    """
    spelled = []
    for name in names:
        words = r"\s+".join(map(re.escape, unicodedata.normalize("NFC", name).split()))
        before, after = (r"(?<!\w)" if re.match(r"\w", name) else ""), (r"(?!\w)" if re.search(r"\w$", name) else "")
        spelled.append(f"{before}({words}){after}")
    pattern = "|".join(spelled)
    if not plain:
        pattern = rf"(?:(?<!\w)embedding:\s*+)?(?:{pattern})(?:\.(?:safetensors|pt|bin)(?!\w))?"
    return re.compile(pattern, re.IGNORECASE)
