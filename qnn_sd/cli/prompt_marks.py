"""What other tools read as instructions in a prompt, and isn't done here, or not in the prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from qnn_sd.generate.prompt_syntax import Tag, parse_prompt
from qnn_sd.in_words import shown

_SETTINGS = re.compile(r"Negative prompt:|\b(?:Steps: ?\d+, |Sampler: ?\w|CFG scale: ?\d)")
_AND = re.compile(r"\bAND\b")
# Possessive quantifiers: see generate/prompt_syntax.py.
_ALTERNATIVES = re.compile(r"\{[^{}|]*+\|[^{}]*+\}")
_WILDCARD = re.compile(r"\b__(?:[A-Za-z0-9*/.-]|_(?!_))++__\b")
_SHOWN = 40


def remarks_on_marks(text: str, what: str, loras: Mapping[str, float] | None) -> Iterator[str]:
    """A line for each kind of mark in a prompt that another tool would act on.

    Args:
        text: the prompt.
        what: which one it is, ``prompt`` or ``negative prompt``.
        loras: scales of the LoRAs that were given, by the name of their files without suffix, in lower case;
            None where a bundle runs that is there, to which none can be given.
    """

    def words(found: str) -> str:
        return f"{shown(found, _SHOWN)} in the {what} is read as plain words"

    if found := _SETTINGS.search(text):
        options = "--negative, --steps, --scheduler, --guidance, --seed and --size"
        yield f"{words(found[0].rstrip(', '))}, and so are the settings after it: type them as {options}"
    parsed = parse_prompt(text)
    if parsed.as_words:
        yield f"{words(parsed.as_words)}: changes from step to step aren't supported"
    if found := _ALTERNATIVES.search(text):
        yield f"{words(found[0])}: choices between words aren't supported"
    if found := _WILDCARD.search(text):
        yield f"{words(found[0])}: files of words aren't supported"
    # In a prompt of capitals it is a word like all others.
    if (found := _AND.search(text)) and not text.isupper():
        yield f"{words(found[0])}: prompts of several parts aren't supported"
    if parsed.unclosed:
        yield f"the {what} has a bracket that nothing closes: {shown(parsed.unclosed, _SHOWN)}; it goes to the end"
    for tag in dict.fromkeys(parsed.tags):
        yield from _remark_on_tag(tag, what, loras)


def _remark_on_tag(tag: Tag, what: str, loras: Mapping[str, float] | None) -> Iterator[str]:
    spelled, scale = shown(tag.spelled), shown(tag.scale or 1)
    given = None if loras is None else loras.get(tag.name.lower())
    if tag.kind == "hypernet":
        yield f"{spelled} in the {what} is left out: hypernetworks aren't supported"
    elif loras is None:
        yield f"{spelled} in the {what} is left out: the bundle keeps the LoRAs that it was compiled with"
    elif given is None:
        yield f"{spelled} in the {what} is left out: give the LoRA as --lora PATH:{scale}"
    elif not _is(tag.scale or "1", given):
        yield f"{spelled} in the {what}: the LoRA is merged at {given:g}, as --lora says"


def _is(scale: str, given: float) -> bool:
    try:
        return float(scale) == given
    except ValueError:
        return False
