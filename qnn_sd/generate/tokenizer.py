"""CLIP's tokenizer from a checkpoint's vocabulary and merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from qnn_sd.errors import CheckpointError
from qnn_sd.tokenizer_files import END, START, Vocabulary

# What CLIP calls a word (Radford et al. 2021): an English clitic, letters, one digit, or a run of
# anything else that is no space.
_CLITICS = "'s|'t|'re|'ve|'m|'ll|'d"
_WORD = rf"{_CLITICS}|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+"


@dataclass(frozen=True)
class Tokens:
    """A prompt in tokens.

    Attributes:
        ids: [1, length] int32, start and end included, padded.
        used: how many are the prompt's own.
        cut: the end of the prompt that didn't fit, as it is spelled; empty if all did.
    """

    ids: NDArray[np.int32]
    used: int
    cut: str


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
        # As in transformers, a name is recognised wherever it stands, in any case.
        self._tokenizer.add_tokens([AddedToken(name, normalized=True) for name in added or ()])
        self._added = {self._tokenizer.token_to_id(name): list(rows) for name, rows in (added or {}).items()}
        self.length = length

    def encode(self, prompt: str) -> Tokens:
        """Tokens of a prompt; what is over the length is cut, the end token kept."""
        # Text from a shell can hold lone surrogates, which are no characters.
        text = prompt.encode("utf-8", "replace").decode("utf-8")
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        # A textual inversion's name stands for as many tokens as it has vectors.
        pieces = [
            (row, start)
            for token, (start, _) in zip(encoding.ids, encoding.offsets, strict=True)
            for row in self._added.get(token, [token])
        ]
        room = self.length - 2
        kept = [row for row, _ in pieces[:room]]
        cut = text[pieces[room][1] :].strip() if len(pieces) > room else ""
        row = [self._start, *kept, self._end]
        row += [self._padding] * (self.length - len(row))
        return Tokens(np.array([row], np.int32), len(kept), cut)
