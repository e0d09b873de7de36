"""A command that isn't there, and options that stand before it: what was meant, as a line to type."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import click

from qnn_sd.cli.command_line import in_quotes, options_by_name, prompt_of, quoted, taken_apart
from qnn_sd.cli.complaints import explained, translated
from qnn_sd.cli.spellings import COMMANDS
from qnn_sd.cli.typed_command import TypedCommand
from qnn_sd.errors import UsageError


def unknown_command(group: click.Group, context: click.Context, arguments: Sequence[str]) -> UsageError:
    """What was meant where the first word is no command.

    Args:
        group: whose command it should be.
        context: the group's.
        arguments: what was typed after the group.
    """
    path, word = context.command_path, arguments[0]
    what = f"There is no command {quoted(word)}"
    help_line = f"{path} --help lists the commands."
    run = group.commands.get("run")
    known = {} if run is None else options_by_name(run, context)
    line = taken_apart(arguments, known)
    meant = _command_meant(group, context, word)
    # One that is one letter off is a slip; a word of several that resembles one is a prompt's.
    if meant is not None and (len(line.words) < 3 or _is_close(word, meant) or word.lower() in COMMANDS):
        rest = " ".join(map(quoted, arguments[1:]))
        if meant == "run" and len(arguments) > 1:
            rest = translated(arguments[1:], known)
        return UsageError(what, hint=f"Did you mean {f'{path} {meant} {rest}'.strip()}?")
    if run is None:
        return UsageError(what, hint=help_line)
    if word.endswith((".safetensors", ".ckpt")):
        rest = translated(arguments[1:], known) if len(arguments) > 1 else "PROMPT"
        return UsageError(what, hint=f"Type {path} run {rest} --checkpoint {quoted(word)}")
    if " " in word or len(line.words) > 1:
        return UsageError(
            what,
            why="It reads like a prompt: the command run is missing.",
            hint=f"Type {path} run {prompt_of(line.words)}{line.option_text()}",
        )
    return UsageError(what, hint=f"{help_line} For an image of it type {path} run {in_quotes(word)}")


def _command_meant(group: click.Group, context: click.Context, word: str) -> str | None:
    typed = word.lower().lstrip("-").replace("_", "-")
    if context.parent is None and typed in COMMANDS:
        return COMMANDS[typed]
    close = difflib.get_close_matches(typed, group.commands, n=1)
    return close[0] if close else None


def _is_close(word: str, name: str) -> bool:
    return difflib.SequenceMatcher(None, word.lower(), name).ratio() >= 0.8


def _with_command(group: click.Group, path: str, owners: Sequence[str], arguments: Sequence[str]) -> str:
    """A line with the command that was left out: run where it has the option, with its prompt."""
    if "run" not in owners:
        return f"{path} {' '.join([owners[0], *map(quoted, arguments)])}"
    known = options_by_name(group.commands["run"], click.Context(group.commands["run"]))
    return f"{path} run {translated(arguments, known)}"


def options_before_command(
    group: click.Group, context: click.Context, arguments: Sequence[str], raised: click.UsageError
) -> UsageError:
    """What was meant where click doesn't know an option of the group.

    Args:
        group: whose option it should be.
        context: the group's.
        arguments: what was typed after the group.
        raised: click's complaint.
    """
    path = context.command_path
    place = next((place for place, each in enumerate(arguments) if each in group.commands), None)
    if isinstance(raised, click.NoSuchOption):
        name = raised.option_name
        if place is not None and name in options_by_name(group.commands[arguments[place]], context):
            line = [arguments[place], *arguments[place + 1 :], *arguments[:place]]
            return UsageError(f"{name} comes after the command", hint=f"Type {' '.join([path, *map(quoted, line)])}")
        owners = [own for own, each in group.commands.items() if name in options_by_name(each, context)]
        if name == "--prompt" and "run" in group.commands:
            owners = ["run"]
        if owners:
            full = _with_command(group, path, owners, arguments)
            return UsageError(f"{name} comes after a command", why="There is none.", hint=f"Type {full}")
    return explained(TypedCommand(group, context, arguments), raised)
