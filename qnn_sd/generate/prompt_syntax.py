"""Marks in a prompt, as AUTOMATIC1111's web UI reads them: weights of words, borders of chunks, tags of networks.

``(words)`` multiplies their weight by 1.1, ``[words]`` divides it by that, ``(words:1.3)`` multiplies it by the number;
a backslash before a bracket makes it a letter; a bracket that isn't closed goes to the end. All of it takes time that
grows with the prompt's length alone, whatever it holds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from qnn_sd.prompt_tags import Tag, split_tags

ROUND, SQUARE = 1.1, 1 / 1.1
# Possessive quantifiers: none is tried again with less, which would take a hostile prompt's length squared.
_TOKEN = re.compile(
    r"\\[()\[\]\\]|\\|[(\[|]|:\s*+(?P<weight>[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++))\s*+\)|[)\]:]|[^\\()\[\]:|]++"
)
_BREAK = re.compile(r"\bBREAK\b")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)\s*")
_LONGEST_NUMBER = 40


@dataclass(frozen=True)
class Segment:
    """Words of one weight.

    Attributes:
        text: the words; None for a chunk's border, ``BREAK``.
        weight: what their text states are multiplied with.
    """

    text: str | None
    weight: float = 1.0


@dataclass(frozen=True)
class ParsedPrompt:
    """A prompt, read.

    Attributes:
        segments: its words in their order, without marks and tags.
        tags: of networks, which are no words.
        as_words: the first ``[a|b]`` or ``[a:b:0.5]``: changes by step, which are read as words, brackets included.
        unclosed: the first bracket that nothing closes, with what follows it; empty if there is none.
        unopened: the first weight in whose place no bracket is open; empty if there is none.
    """

    segments: tuple[Segment, ...]
    tags: tuple[Tag, ...] = ()
    as_words: str = ""
    unclosed: str = ""
    unopened: str = ""


def parse_prompt(text: str) -> ParsedPrompt:
    """Reads a prompt's marks."""
    words, tags = split_tags(text)
    reader = _Reader(words)
    return ParsedPrompt(tuple(reader.segments()), tags, reader.as_words, reader.unclosed, reader.unopened)


@dataclass
class _Open:
    """A bracket that was opened.

    Attributes:
        item: its number among the items.
        start: where it stands.
        colon: where the text after its last colon begins; -1 if it has none.
        bar: whether it has a ``|`` of its own.
    """

    item: int
    start: int
    colon: int = -1
    bar: bool = False


@dataclass
class _Reader:
    """Reads one prompt: which brackets belong together, and then each word's weight.

    As in the web UI, round and square brackets are matched apart from each other.
    """

    text: str
    as_words: str = ""
    unclosed: str = ""
    unopened: str = ""
    # Text, "(" or "[" with its factor, ")" or "]", or None for a border.
    _items: list[tuple[str, str | None, float]] = field(default_factory=list)
    _open: dict[str, list[_Open]] = field(default_factory=lambda: {"(": [], "[": []})

    def segments(self) -> Iterator[Segment]:
        for found in _TOKEN.finditer(self.text):
            self._take(found)
        self._end()
        for (kind, weight), group in groupby(self._weighted(), itemgetter(0, 2)):
            texts = [text or "" for _, text, _ in group]
            if kind == "break":
                yield from (Segment(None) for _ in texts)
            elif joined := "".join(texts):
                yield Segment(joined, weight)

    def _take(self, found: re.Match[str]) -> None:
        token, weight, rounds, squares = found[0], found["weight"], self._open["("], self._open["["]
        if token[0] == "\\":
            self._items.append(("text", token[1:], 1.0))
        elif token in self._open:
            self._open[token].append(_Open(len(self._items), found.start()))
            self._items.append((token, None, ROUND if token == "(" else SQUARE))
        elif token[-1] == ")" and (weight or token == ")") and rounds:
            self._close("(", float(weight) if weight else ROUND)
        elif token == "]" and squares:
            self._close_square(squares[-1], found)
        else:
            if token in (":", "|") and squares and (not rounds or rounds[-1].item < squares[-1].item):
                squares[-1].bar |= token == "|"
                squares[-1].colon = found.end() if token == ":" else squares[-1].colon
            if weight:
                self.unopened = self.unopened or token
            self._words(token)

    def _words(self, token: str) -> None:
        first, *others = _BREAK.split(token)
        self._items.append(("text", first, 1.0))
        for part in others:
            self._items += [("break", None, 1.0), ("text", part, 1.0)]

    def _close(self, kind: str, factor: float) -> None:
        opened = self._open[kind].pop()
        self._items[opened.item] = (kind, None, factor)
        self._items.append((")" if kind == "(" else "]", None, 1.0))

    def _close_square(self, opened: _Open, found: re.Match[str]) -> None:
        is_short = opened.colon >= 0 and found.start() - opened.colon <= _LONGEST_NUMBER
        is_schedule = is_short and _NUMBER.fullmatch(self.text, opened.colon, found.start())
        if not opened.bar and not is_schedule:
            self._close("[", SQUARE)
            return
        self._open["["].pop()
        self._items[opened.item] = ("text", "[", 1.0)
        self._items.append(("text", "]", 1.0))
        self.as_words = self.as_words or self.text[opened.start : found.end()]

    def _end(self) -> None:
        left = [opened.start for each in self._open.values() for opened in each[:1]]
        if left:
            self.unclosed = self.text[min(left) :]

    def _weighted(self) -> Iterator[tuple[str, str | None, float]]:
        """The items that are no brackets, with their weights."""
        stacks: dict[str, list[float]] = {"(": [1.0], "[": [1.0]}
        partner = {")": "(", "]": "["}
        for kind, text, factor in self._items:
            if kind in stacks:
                stacks[kind].append(stacks[kind][-1] * factor)
            elif kind in partner:
                stacks[partner[kind]].pop()
            elif kind == "break":
                yield kind, None, 1.0
            else:
                weight = stacks["("][-1] * stacks["["][-1]
                # The two products of a bracket of each kind may differ from one in the last digit.
                yield kind, text, 1.0 if math.isclose(weight, 1.0, rel_tol=1e-12) else weight
