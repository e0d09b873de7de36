"""Words that belong to no option: a prompt without quotes, a value without its option."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from qnn_sd.cli.command_line import in_quotes, prompt_of, quoted, takes_value
from qnn_sd.cli.typed_command import TypedCommand
from qnn_sd.config import find_profile, models
from qnn_sd.errors import UsageError

_SPACED_SIZE = re.compile(r"(--size|--resolution) (\d+) ?[xX*×,] ?(\d+)")  # noqa: RUF001 (a sign that people type)
_SERIAL = re.compile(r"[A-Z0-9]{6,}|[\w.]+:\d+|emulator-\d+")


def extra_words(typed: TypedCommand) -> UsageError:
    """What was meant by more words than the command takes.

    Args:
        typed: what was typed.
    """
    words, options = typed.line.words, typed.line.option_text()
    text = " ".join(map(quoted, typed.arguments))
    size = _SPACED_SIZE.sub(r"\1 \2x\3", text)
    if size != text:
        return UsageError("A size has no spaces", hint=f"Type {typed.path} {size}")
    for word in words[1:] if typed.has_prompt else words:
        option = next(_options_meant(typed, word), None)
        if option is not None:
            place = len(typed.arguments) - 1 - typed.arguments[::-1].index(word)
            line = [*typed.arguments[:place], *option, *typed.arguments[place + 1 :]]
            return UsageError(f"{quoted(word)} is no option", hint=typed.to_type(line))
    if not typed.has_prompt:
        listed = " ".join(map(quoted, words))
        return UsageError(
            f"{listed} belongs to no option", why=f"{typed.path} takes options alone.", hint=typed.help_hint
        )
    # Quotes that end too early leave one that has spaces, and others.
    if all(" " in word for word in words):
        return UsageError(
            f"There is more than one prompt: {', '.join(map(in_quotes, words))}",
            why=f"{typed.path} takes one, in quotes.",
            hint=f"Type {typed.path} {in_quotes(words[0])}{options}",
        )
    return UsageError(
        "Put the prompt in quotes",
        why=f"Without them it is {len(words)} words to the shell.",
        hint=f"Type {typed.path} {prompt_of(words)}{options}",
    )


def _options_meant(typed: TypedCommand, word: str) -> Iterator[list[str]]:
    """The options that a word may be the name or the value of, the likeliest first."""
    known = typed.known
    name, equals, value = word.partition("=")
    if f"--{name}" in known and (equals or not takes_value(known[f"--{name}"])):
        yield [f"--{name}", *([value] if equals else [])]
    if "--checkpoint" in known and word.endswith((".safetensors", ".ckpt")):
        yield ["--checkpoint", word]
    output = known.get("-o")
    if output is not None and Path(word).suffix and word.endswith(Path(output.metavar or "").suffix or "/"):
        yield ["-o", word]
    # A prompt that was typed without quotes may have any word.
    if typed.has_prompt and " " not in typed.line.words[0]:
        return
    for named, each in known.items():
        if isinstance(each.type, click.Choice) and word.lower() in each.type.choices:
            yield [named, word]
    if "--device" in known and _SERIAL.fullmatch(word):
        yield ["--device", word]
    if "--soc" in known and find_profile(word) is not None:
        yield ["--soc", word]
    if "--model" in known and word in models():
        yield ["--model", word]
