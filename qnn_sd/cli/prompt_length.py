"""Prompts of several chunks: which UNet ``qnn-sd run`` takes for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.generate import Tokens
from qnn_sd.generate.text_states import filled_up
from qnn_sd.pipeline import BuildPipeline

# A UNet of more would attend to 1,200 words, where CLIP was trained to read 75 tokens.
MOST_CHUNKS = 16
_TOKENS = 75
# In the order of tokens.
_NAMES = ("prompt", "negative prompt")


def refuse_bad_chunks(chunks: int) -> None:
    """Raises for a number of chunks that no UNet is built for.

    Raises:
        SettingError: it isn't 1 to 16.
    """
    if not 1 <= chunks <= MOST_CHUNKS:
        raise SettingError(
            f"--prompt-chunks {chunks} is not possible",
            why=f"A chunk has {_TOKENS} tokens; a UNet takes 1 to {MOST_CHUNKS} chunks.",
            hint="Choose 1, which is usual, or 2 for prompts of up to 150 tokens.",
        )


def refuse_longer(tokens: Sequence[Tokens], most: int, more: str) -> None:
    """Raises for prompts that a UNet doesn't take whole.

    Args:
        tokens: of prompt and negative prompt, or of the prompt alone; uncut.
        most: chunks that it takes.
        more: what else can be done than to shorten them, with ``{needed}`` for their chunks.

    Raises:
        SettingError: one has more chunks.
    """
    what, longest = _longest(tokens)
    needed = len(longest.chunks)
    if needed > most:
        instead = f", or {more.format(needed=needed)}" if needed <= MOST_CHUNKS else ""
        raise SettingError(
            f"The {what} is {needed} chunks of {_TOKENS} tokens long, and the UNet takes {most}",
            why=f"It has {longest.used} tokens.",
            hint=f"Shorten it{instead}. --plain-prompt cuts it to one chunk.",
        )


def _longest(tokens: Sequence[Tokens]) -> tuple[str, Tokens]:
    """What the longer one of prompt and negative prompt is called, and its tokens."""
    return max(zip(_NAMES, tokens, strict=False), key=lambda each: len(each[1].chunks))


def say_filled_up(console: Console, tokens: Sequence[Tokens], built: int) -> None:
    """Says of a prompt that its chunks don't divide those of the UNet: it gets empty ones, which change the picture.

    Args:
        console: where it is said.
        tokens: of prompt and negative prompt, or of the prompt alone; uncut.
        built: chunks that the UNet takes.
    """
    fitting = math.lcm(*(len(each.chunks) for each in tokens))
    cure = f" (--prompt-chunks {fitting} is another build, which needs none)" if fitting <= MOST_CHUNKS else ""
    for what, each in zip(_NAMES, tokens, strict=False):
        count = len(each.chunks)
        if (filled := filled_up(count, built)) > count:
            console.say(f"the {what} has {count} chunks, filled up to {filled} with empty ones{cure}")


def for_prompts(
    pipeline: BuildPipeline, tokens: Sequence[Tokens], asked: int | None, console: Console
) -> BuildPipeline:
    """The build whose UNet takes a request's prompts whole: a longer prompt needs another one.

    Args:
        pipeline: of the prompts' checkpoint.
        tokens: of the prompts, uncut.
        asked: the number of chunks that was typed; None where nobody did.
        console: where it is said that it is another one.

    Raises:
        SettingError: the prompts are longer than what was typed, or than any UNet takes.
    """
    what, longest = _longest(tokens)
    needed = len(longest.chunks)
    if needed <= pipeline.prompt_chunks:
        return pipeline
    refuse_longer(tokens, MOST_CHUNKS if asked is None else asked, "type --prompt-chunks {needed}")
    console.say(
        f"the {what} has {longest.used} token{'s' * (longest.used != 1)} in {needed} chunks: a UNet that takes "
        f"{needed} is another build (--plain-prompt cuts it to one)"
    )
    return pipeline.at_chunks(needed)
