"""Marks of a prompt that several rooms read: tags such as ``<lora:name:0.8>``, their scales, escaped brackets."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

# Possessive quantifiers: see generate/prompt_syntax.py.
_TAG = re.compile(r"<(?P<kind>\w++|\s*+(?i:lora|lyco|hypernet)\s*+):(?P<rest>[^<>]++)>")


@dataclass(frozen=True)
class Tag:
    """A network that a prompt asks for.

    Attributes:
        spelled: the tag as it stands there.
        kind: ``lora``, ``lyco``, ``hypernet`` or another word, in lower case.
        name: of the network.
        scale: as it is written, of the UNet if it has one of its own; empty if there is none.
        is_split: whether it has another scale for the text encoder.
    """

    spelled: str
    kind: str
    name: str
    scale: str
    is_split: bool = False


def split_tags(text: str, *kinds: str) -> tuple[str, tuple[Tag, ...]]:
    """A prompt without tags of networks, and the tags.

    Args:
        text: the prompt.
        kinds: those that are meant; none for all.
    """
    tags = []

    def taken(found: re.Match[str]) -> str:
        tag = _tag(found)
        if kinds and tag.kind not in kinds:
            return found[0]
        tags.append(tag)
        return ""

    return _TAG.sub(taken, text), tuple(tags)


def _tag(found: re.Match[str]) -> Tag:
    """As the web UI: NAME, NAME:SCALE, NAME:TEXT_SCALE:UNET_SCALE, and both scales also as te=SCALE and unet=SCALE."""
    name, *settings = (each.strip() for each in found["rest"].split(":"))
    named = {key: value for key, equals, value in (each.partition("=") for each in settings) if equals}
    places = [each for each in settings if "=" not in each]
    text_scale = named.get("te", places[0] if places else "")
    scale = named.get("unet", places[1] if len(places) > 1 else text_scale)
    return Tag(found[0], found["kind"].strip().lower(), name, scale, scale != text_scale)


def scale_number(text: str) -> float | None:
    """A LoRA's scale as a number; None for a text that is no finite one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def escaped(text: str) -> str:
    """A text whose brackets and backslashes are read as letters."""
    return re.sub(r"[\\()\[\]]", r"\\\g<0>", text)
