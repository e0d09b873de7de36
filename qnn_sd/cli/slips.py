"""Slips on a command line that click would take for something else: they are refused before it parses the line."""

from __future__ import annotations

import re

from qnn_sd.cli.command_line import Given, quoted, takes_value
from qnn_sd.cli.extra_words import torn_value
from qnn_sd.cli.typed_command import TypedCommand, example_of, main_name
from qnn_sd.errors import UsageError

_EDITORS_DASHES = re.compile("^[‐‑‒–—―−]{1,2}(?=[A-Za-z])")  # noqa: RUF001 (those of text editors)


def refuse_slips(typed: TypedCommand) -> None:
    """Refuses what click would misread.

    Raises:
        UsageError: a dash of a text editor, one dash for two, an option without its value or with two values,
            a value that spaces have torn apart.
    """
    for place, token in enumerate(typed.arguments):
        if token == "--":
            break
        _refuse_dashes(typed, place, token)
    for given in typed.line.options:
        _refuse_forgotten_value(typed, given)
        _refuse_placeholder(given)
    _refuse_two_values(typed)
    torn = torn_value(typed)
    if torn is not None:
        raise torn


def _refuse_dashes(typed: TypedCommand, place: int, token: str) -> None:
    before, after = typed.arguments[:place], typed.arguments[place + 1 :]
    meant, why = _EDITORS_DASHES.sub("--", token), "Its dash is a text editor's."
    if meant == token and re.match(r"-[A-Za-z]{2}", token):
        meant, why = f"-{token}", "It begins with one dash instead of two."
    if meant != token and meant.partition("=")[0] in typed.known:
        raise UsageError(f"{token} is no option", why=why, hint=typed.to_type([*before, meant, *after]))
    if re.match(r"-[A-Za-z]=", token) and token[:2] in typed.known:
        raise UsageError(
            f"{token} is no option with a value",
            why="A short option has no equals sign.",
            hint=typed.to_type([*before, token[:2], token[3:], *after]),
        )


def _refuse_forgotten_value(typed: TypedCommand, given: Given) -> None:
    if given.option is None or len(given.tokens) < 2 or given.value is None:
        return
    # One that begins like an option is written with an equals sign: --negative=--x.
    if re.match("--($|[A-Za-z])", given.value) or given.value.partition("=")[0] in typed.known:
        raise UsageError(
            f"{given.name} has no value",
            why=f"{given.value} comes right after it.",
            hint=f"Give it one, such as {example_of(given.option)}.",
        )


def _refuse_placeholder(given: Given) -> None:
    if given.option is not None and main_name(given.option) == "--device" and given.value == "SERIAL":
        raise UsageError("SERIAL stands for your phone's serial number", hint="qnn-sd devices lists them.")


def _refuse_two_values(typed: TypedCommand) -> None:
    seen: dict[str, str] = {}
    for given in typed.line.options:
        option = given.option
        if option is None or option.multiple or option.name is None:
            continue
        value = given.value if takes_value(option) else given.name
        if value is None or seen.setdefault(option.name, value) == value:
            continue
        first, hint = seen[option.name], "Leave one of them out."
        if not takes_value(option):
            raise UsageError(f"{first} and {value} contradict each other", hint=hint)
        why = f"As {quoted(first)} and as {quoted(value)}."
        if main_name(option) == "--soc":
            why += " One SoC is taken at a time: type a line for each."
        raise UsageError(f"{main_name(option)} is given twice", why=why, hint=hint)
