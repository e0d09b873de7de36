"""What other tools read as instructions in a prompt, and isn't done here, or not in the prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from qnn_sd.generate.prompt_syntax import ParsedPrompt, parse_prompt
from qnn_sd.in_words import shown
from qnn_sd.prompt_tags import Tag, scale_number

_SETTINGS = re.compile(r"Negative prompt:|\b(?:Steps: ?\d+, |Sampler: ?\w|CFG scale: ?\d)")
_AND = re.compile(r"\bAND\b")
# Possessive quantifiers: see generate/prompt_syntax.py.
_CURLY = re.compile(r"\{[^{}]*+\}")
_WILDCARD = re.compile(r"\b__(?:[A-Za-z0-9*/.-]|_(?!_))++__\b")
# InvokeAI's: (words)1.3, (words)++, ("one", "other").and()
_INVOKE = re.compile(r"\)(?:\++|-++(?![\w-])|[0-9]*+\.[0-9]++|\.(?:and|blend|swap)\()")
# With a decimal comma, or signs of another keyboard.
_ALMOST_WEIGHT = re.compile(
    r"[(\uff08][^()\uff08\uff09]*(?:\uff1a\s*+[0-9]++(?:[.,][0-9]++)?+\s*+[)\uff09]"
    r"|:\s*+[0-9]++(?:,[0-9]++\s*+[)\uff09]|(?:\.[0-9]++)?+\s*+\uff09))"
)
_SHOWN = 40
# People write 0.5 to 1.5; (ratio 16:9) is a weight of 9 as well.
_USUAL_WEIGHT = 5


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
        options = "--negative, --steps, --scheduler, --guidance, --clip-skip, --seed and --size"
        yield f"{words(found[0].rstrip(', '))}, and so are the settings after it: type them as {options}"
    parsed = parse_prompt(text)
    if parsed.as_words:
        yield f"{words(parsed.as_words)}: changes from step to step aren't supported"
    if found := _CURLY.search(text):
        is_choice = "|" in found[0]
        why = "choices between words aren't supported" if is_choice else "a weight is written (words:1.1)"
        yield f"{words(found[0])}: {why}"
    if found := _WILDCARD.search(text):
        yield f"{words(found[0])}: files of words aren't supported"
    # In a prompt of capitals it is a word like all others.
    if (found := _AND.search(text)) and not text.isupper():
        yield f"{words(found[0])}: prompts of several parts aren't supported"
    if found := _ALMOST_WEIGHT.search(text):
        yield f"{shown(found[0], _SHOWN)} in the {what} is no weight: it is written (words:1.3)"
    if found := _INVOKE.search(text):
        yield f"{words(found[0])}: it is InvokeAI's; a weight is written (words:1.3)"
    yield from _on_brackets(parsed, what)
    for tag in dict.fromkeys(parsed.tags):
        yield from _remark_on_tag(tag, what, loras)


def _on_brackets(parsed: ParsedPrompt, what: str) -> Iterator[str]:
    if parsed.unclosed:
        yield f"the {what} has a bracket that nothing closes: {shown(parsed.unclosed, _SHOWN)}; it goes to the end"
    if parsed.unopened:
        yield f"{shown(parsed.unopened)} in the {what} is read as plain words: no bracket is open before it"
    heaviest = max(parsed.segments, key=lambda each: abs(each.weight), default=None)
    if heaviest is not None and abs(heaviest.weight) > _USUAL_WEIGHT:
        yield (
            f"the {what} has a weight of {heaviest.weight:g}: {shown(heaviest.text, _SHOWN)}. Usual are 0.5 to 1.5; "
            r"brackets that are no weights are written \( and \)"
        )


def _remark_on_tag(tag: Tag, what: str, loras: Mapping[str, float] | None) -> Iterator[str]:
    spelled, scale = shown(tag.spelled), tag.scale or "1"
    given = None if loras is None else loras.get(tag.name.lower())
    typed = f"PATH:{scale}" if scale_number(scale) is not None else "PATH:SCALE"
    if tag.kind not in ("lora", "lyco", "hypernet"):
        yield f"{spelled} in the {what} is left out: what <{shown(tag.kind)}:...> names isn't supported"
    elif tag.kind == "hypernet":
        yield f"{spelled} in the {what} is left out: hypernetworks aren't supported"
    elif loras is None:
        yield f"{spelled} in the {what} is left out: the bundle keeps the LoRAs that it was compiled with"
    elif given is None:
        yield f"{spelled} in the {what} is left out: give the LoRA as --lora {typed}"
    elif tag.is_split or scale_number(scale) != given:
        yield f"{spelled} in the {what}: the LoRA is merged at {given:g}, as --lora says"
