"""What other tools read as instructions in a prompt, and is plain text here."""

from __future__ import annotations

import re
from collections.abc import Iterator

from qnn_sd.in_words import shown
from qnn_sd.webui_parameters import LORA_TAG

_SETTINGS = re.compile(r"Negative prompt:|\b(?:Steps: ?\d+, |Sampler: ?\w|CFG scale: ?\d)")
_WEIGHT = re.compile(r"\([^()]*:\s*[\d.]+\s*\)|\(\([^()]+\)\)")
_BRACKETS = re.compile(r"\[[^\[\]]+\]")
_WORD = re.compile(r"\b(?:BREAK|AND)\b")
_ALTERNATIVES = re.compile(r"\{[^{}]*\|[^{}]*\}")
_EMBEDDING = re.compile(r"\bembedding:[\w.-]+")


def remarks_on_marks(text: str, what: str) -> Iterator[str]:
    """A line for each kind of mark in a prompt that another tool would act on.

    Args:
        text: the prompt.
        what: which one it is, ``prompt`` or ``negative prompt``.
    """

    def plain(found: str) -> str:
        return f"{shown(found)} in the {what} is read as plain text here"

    if found := _SETTINGS.search(text):
        options = "--negative, --steps, --scheduler, --guidance, --seed and --size"
        yield f"{plain(found[0].rstrip(', '))}, and so are the settings after it: type them as {options}"
    if found := _WEIGHT.search(text):
        yield f"{plain(found[0])}: weights of words aren't built"
    if found := _BRACKETS.search(text):
        yield f"{plain(found[0])}: weights and changes by step aren't built"
    if found := _ALTERNATIVES.search(text):
        yield f"{plain(found[0])}: choices between words aren't built"
    # In a prompt of capitals they are words like all others.
    if (found := _WORD.search(text)) and not text.isupper():
        yield f"{plain(found[0])}: prompts of several parts aren't built"
    for tag in LORA_TAG.finditer(text):
        yield f"{plain(tag[0])}: give the LoRA as --lora PATH:{shown(tag[2] or 1)}"
    if found := _EMBEDDING.search(text):
        yield f"{plain(found[0])}: give the file as --embedding, and write its name alone"
