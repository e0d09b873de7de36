"""Words that belong to no option: a prompt without quotes, a value without its option."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from qnn_sd.cli.command_line import EDITORS_QUOTES, in_quotes, prompt_of, quoted, takes_value
from qnn_sd.cli.typed_command import EXAMPLE_PROMPT, TypedCommand, is_number
from qnn_sd.cli.whole_values import FILE_SUFFIXES, is_there, is_torn, whole_value
from qnn_sd.config import find_profile, models
from qnn_sd.errors import UsageError

_SPACED_SIZE = re.compile(r"(--size|--resolution) (\d+)(?: ?[xX*×,] ?| )(\d+)")  # noqa: RUF001 (a sign that people type)
_SERIAL = re.compile(r"[A-Z0-9]{6,}|[\w.]+:\d+|emulator-\d+")


def extra_words(typed: TypedCommand) -> UsageError:
    """What was meant by more words than the command takes.

    Args:
        typed: what was typed.
    """
    text = " ".join(map(quoted, typed.arguments))
    size = _SPACED_SIZE.sub(r"\1 \2x\3", text)
    if size != text:
        return UsageError("A size has no spaces", hint=f"Type {typed.path} {size}")
    line = _Line(typed)
    if line.second_soc:
        return UsageError(
            "One SoC is compiled at a time" if typed.path.endswith("compile") else "One SoC is taken at a time",
            why=f"Type another line for {' and '.join(line.second_soc)}.",
            hint=line.to_type(),
        )
    images = [word for word in typed.line.words if is_there(word) and word.endswith(".png")] if typed.has_prompt else []
    if images and not line.can_be_typed:
        return UsageError(
            f"{quoted(images[0])} is no option",
            why="It is a file here, which -o would write over.",
            hint=f"To make it again give --like {quoted(images[0])}; for a new image give another name with -o.",
        )
    return line.error() if line.understood or line.whole else _not_understood(typed)


def torn_value(typed: TypedCommand) -> UsageError | None:
    """What to say of an option's value that is none without the words after it; None where there is none.

    Args:
        typed: what was typed.
    """
    return _Line(typed).error() if any(is_torn(typed, each) for each in typed.line.options) else None


def _not_understood(typed: TypedCommand) -> UsageError:
    words, options = typed.line.words, typed.line.option_text()
    argument = next((each.name for each in typed.command.params if isinstance(each, click.Argument)), None)
    if argument is not None and not typed.has_prompt:
        listed = " ".join(map(quoted, words[1:]))
        return UsageError(f"{listed} is too much", why=f"{typed.path} takes one {argument}.", hint=typed.help_hint)
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


class _Line:
    """A command line with words put where they belong.

    Args:
        typed: what was typed.

    Attributes:
        parts: options, each as its words, and words that are left.
        understood: words that were an option's name or value.
        whole: options whose values have taken words in.
        second_soc: names of SoCs beside that of ``--soc``.
    """

    def __init__(self, typed: TypedCommand) -> None:
        self._typed = typed
        self.parts: list[list[str] | str] = []
        self.understood: list[str] = []
        self.whole: list[str] = []
        self.second_soc: list[str] = []
        self._given = {each.option.name for each in typed.line.options if each.option and not each.option.multiple}
        self._has_quotes = not typed.has_prompt or any(" " in word for word in typed.line.words)
        left = self._with_whole_values()
        while left:
            part = left.pop(0)
            value = left[0] if left and isinstance(left[0], str) else None
            if isinstance(part, list):
                self.parts.append(part)
            elif value is not None and self._is_pair(part, value):
                self._put([f"--{part}", value], f"{part} {left.pop(0)}")
            else:
                self._place(part)
        self._take_folder()

    def _with_whole_values(self) -> list[list[str] | str]:
        parts: list[list[str] | str] = []
        skipped = 0
        for each in self._typed.line.order:
            if isinstance(each, str):
                skipped -= 1
                if skipped < 0:
                    parts.append(each)
                continue
            tokens, skipped = whole_value(self._typed, each)
            if skipped:
                self.whole.append(each.name)
            parts.append(list(tokens))
        return parts

    def _is_pair(self, name: str, value: str) -> bool:
        """Whether two words are an option without its dashes, and its value."""
        option = self._typed.known.get(f"--{name}")
        if option is None or not takes_value(option) or option.name in self._given:
            return False
        is_value = re.fullmatch(r"[\d.]+", value) is not None if is_number(option.type) else is_there(value)
        return is_value and not self._is_overwritten(option, value)

    def _is_overwritten(self, option: click.Option, value: str) -> bool:
        return "-o" in option.opts and is_there(value) and not value.endswith("/")

    def _place(self, word: str) -> None:
        known = self._typed.known
        # A text with spaces that is no file is the prompt.
        is_prompt = " " in word and not is_there(word)
        for tokens in () if is_prompt else _options_meant(self._typed, word, self._has_quotes):
            option = known[tokens[0]]
            if option.name == "soc" and "soc" in self._given and not self._typed.has_prompt:
                self.second_soc.append(word)
                return
            if option.name not in self._given and not self._is_overwritten(option, tokens[-1]):
                self._put(tokens, word)
                return
        self.parts.append(word)

    def _put(self, tokens: list[str], word: str) -> None:
        option = self._typed.known[tokens[0]]
        if not option.multiple:
            self._given.add(option.name)
        self.parts.append(tokens)
        self.understood.append(word)

    def _take_folder(self) -> None:
        """A last word beside others that were understood, where the command writes into a folder."""
        output, left = self._typed.known.get("-o"), [each for each in self.parts if isinstance(each, str)]
        if output is None or output.metavar != "FOLDER" or output.name in self._given or len(left) != 1:
            return
        if self.understood and not self._is_overwritten(output, left[0]):
            self.parts[self.parts.index(left[0])] = ["-o", left[0]]

    @property
    def _options(self) -> list[str]:
        return [token for each in self.parts if isinstance(each, list) for token in each]

    def to_type(self) -> str:
        """The options alone, as a hint."""
        return self._typed.to_type(self._options)

    @property
    def _words(self) -> list[str]:
        words = [each for each in self.parts if isinstance(each, str)]
        is_missing = self._typed.has_prompt and not words and "--like" not in self._options
        return [EXAMPLE_PROMPT] if is_missing else words

    @property
    def can_be_typed(self) -> bool:
        """Whether the line parses, has a prompt that is no file's name, and writes over nothing."""
        words = self._words
        prompt = " ".join(words).strip(EDITORS_QUOTES) if len(words) > 1 else "".join(words)
        is_file = len(words) == 1 and " " not in prompt and prompt.endswith(FILE_SUFFIXES)
        line = [prompt, *self._options] if words else self._options
        return not is_file and self._typed.can_be_typed(line)

    def error(self) -> UsageError:
        """What to say of it, with the line where that can be typed."""
        typed, options, words = self._typed, self._options, self._words
        hint = typed.help_hint
        if self.can_be_typed:
            prompt = [prompt_of(words)] if len(words) > 1 else [*map(quoted, words)]
            hint = f"Type {' '.join([typed.path, *prompt, *map(quoted, options)])}"
        if self.understood:
            verb = "is no option" if len(self.understood) == 1 else "are no options"
            return UsageError(f"{', '.join(map(quoted, self.understood))} {verb}", hint=hint)
        if self.whole == ["--lora"] and not any(" " in each for each in options):
            return UsageError("The scale of a LoRA comes after a colon", hint=hint)
        return UsageError(f"Put the value of {self.whole[0]} in quotes", why="A space ends it to the shell.", hint=hint)


def _options_meant(typed: TypedCommand, word: str, has_quotes: bool) -> Iterator[list[str]]:
    """The options that a word may be the name or the value of, the likeliest first."""
    known = typed.known
    name, equals, value = word.partition("=")
    if f"--{name}" in known and (equals or (has_quotes and not takes_value(known[f"--{name}"]))):
        yield [f"--{name}", *([value] if equals else [])]
    if "--checkpoint" in known and word.endswith((".safetensors", ".ckpt")):
        yield ["--checkpoint", word]
    if "--like" in known and word.endswith(".png") and is_there(word):
        yield ["--like", word]
    output = known.get("-o")
    if output is not None and Path(word).suffix and word.endswith(Path(output.metavar or "").suffix or "/"):
        yield ["-o", word]
    if output is not None and output.metavar == "FOLDER" and word.endswith("/"):
        yield ["-o", word]
    # A prompt that was typed without quotes may have any word.
    if not has_quotes:
        return
    for named, each in known.items():
        if isinstance(each.type, click.Choice) and word.lower() in each.type.choices:
            yield [named, word]
    if "--device" in known and _SERIAL.fullmatch(word):
        yield ["--device", word]
    if "--soc" in known and find_profile(word) is not None:
        yield ["--soc", word]
    if "--size" in known and re.fullmatch(r"\d+[xX]\d+", word):
        yield ["--size", word]
    if "--model" in known and word in models():
        yield ["--model", word]
