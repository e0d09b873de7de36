"""Values that spaces have torn apart: ``--negative blurry, ugly``, ``--checkpoint My Models/dream v1.safetensors``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from qnn_sd.cli.command_line import Given
from qnn_sd.cli.typed_command import TypedCommand, is_number, main_name
from qnn_sd.config import find_profile
from qnn_sd.errors import UnknownSchedulerError

FILE_SUFFIXES = (".safetensors", ".ckpt", ".png", ".toml")


def whole_value(typed: TypedCommand, given: Given) -> tuple[list[str], int]:
    """An option with the words after its value that belong to it.

    Args:
        typed: the command line.
        given: an option of it.

    Returns:
        The option's words for the command line, and how many of the words after it are in them: 0 where none belongs.
    """
    value, after = given.value, given.after
    if given.option is None or value is None or not after:
        return given.tokens, 0
    name = main_name(given.option)
    count = _count(typed, given, name)
    whole = " ".join([value, *after[:count]])
    scale = after[count] if count < len(after) else ""
    if name == "--lora" and re.fullmatch(r"-?\d*\.?\d+", scale) and not re.search(r":[\d.]+$", whole):
        whole, count = f"{whole}:{scale}", count + 1
    tokens = [f"{given.name}={whole}"] if whole.startswith("-") else [given.name, whole]
    return (tokens, count) if count else (given.tokens, 0)


def _count(typed: TypedCommand, given: Given, name: str) -> int:
    assert given.option is not None
    if given.option.metavar == "TEXT":
        return _words_of_text(typed, given)
    if name == "--soc":
        return _longest_name(typed, given, lambda text: find_profile(text) is not None)
    if name == "--scheduler":
        return _longest_name(typed, given, _is_scheduler)
    if is_number(given.option.type):
        return 0
    count = _longest(given, is_there)
    suffix = Path(given.option.metavar or "").suffix
    if count or "-o" not in given.option.opts or not suffix or str(given.value).endswith(suffix):
        return count
    # An output isn't there yet; its suffix says where it ends.
    return next((n for n, word in enumerate(given.after, 1) if word.endswith(suffix)), 0)


def _longest(given: Given, is_value: Callable[[str], bool]) -> int:
    """How many words after a value make the longest other one."""
    counts = range(len(given.after), 0, -1)
    return next((n for n in counts if is_value(" ".join([str(given.value), *given.after[:n]]))), 0)


def _longest_name(typed: TypedCommand, given: Given, is_name: Callable[[str], bool]) -> int:
    """The same of a name; where the value is one, words without quotes are rather the prompt's."""
    is_prompt = typed.has_prompt and not any(" " in word for word in typed.line.words)
    return 0 if is_prompt and is_name(str(given.value)) else _longest(given, is_name)


def _is_scheduler(text: str) -> bool:
    from qnn_sd.generate.schedulers import scheduler_named  # noqa: PLC0415 (numpy, for a slip alone)

    try:
        scheduler_named(text)
    except UnknownSchedulerError:
        return False
    return True


def is_there(text: str) -> bool:
    """Whether an option's value is the path of something: also behind a name, as of an embedding, or before a scale."""
    paths = (text, text.partition("=")[2], text.rpartition(":")[0])
    return any(each and os.path.exists(os.path.expanduser(each)) for each in paths)  # noqa: PTH110, PTH111 (any text)


def _words_of_text(typed: TypedCommand, given: Given) -> int:
    """All, up to one that is something else; the prompt must remain."""
    words = given.after
    most = next((n for n, word in enumerate(words) if is_something_else(word)), len(words))
    if typed.has_prompt and len(typed.line.words) == len(words) and "--like" not in typed.arguments:
        commas = [n for n, word in enumerate([str(given.value), *words[:most]]) if word.endswith(",")]
        in_list = min(commas[-1] + 1, most) if commas else 0
        # A prompt in quotes is told from a list's words by its spaces.
        most = most if most < len(words) and " " in words[most] else in_list
        most = 0 if most == len(words) else most
    return most


def is_something_else(word: str) -> bool:
    """Whether a word isn't one of a text: it has spaces, is a setting, or a file."""
    return " " in word or "=" in word or word.endswith(FILE_SUFFIXES)


def is_torn(typed: TypedCommand, given: Given) -> bool:
    """Whether a value is none, and is one with the words after it."""
    tokens, count = whole_value(typed, given)
    if not count or given.option is None or given.value is None:
        return False
    if main_name(given.option) in ("--soc", "--scheduler"):
        return True
    return is_there(tokens[-1]) and not is_there(given.value)
