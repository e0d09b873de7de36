"""A command with what was typed after it, for messages that say what to type instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from qnn_sd.cli.command_line import CommandLine, options_by_name, quoted, taken_apart
from qnn_sd.cli.spellings import EXAMPLES
from qnn_sd.cli.suggested_line import can_be_typed

EXAMPLE_PROMPT = "a red circle on a blue background"
PROMPT = "prompt"


class TypedCommand:
    """A command and what was typed after it.

    Args:
        command: the command.
        context: its context.
        arguments: what was typed after it.

    Attributes:
        path: the command as it is typed, such as ``qnn-sd run``.
        known: the command's options by name.
        line: the arguments, taken apart.
    """

    def __init__(self, command: click.Command, context: click.Context, arguments: Sequence[str]) -> None:
        self.command, self.context, self.path = command, context, context.command_path
        self.arguments = list(arguments)
        self.known = options_by_name(command, context)
        self.line: CommandLine = taken_apart(arguments, self.known)

    @property
    def has_prompt(self) -> bool:
        """Whether the command's argument is a prompt."""
        return any(each.name == PROMPT and isinstance(each, click.Argument) for each in self.command.params)

    @property
    def help_hint(self) -> str:
        """Where the options are listed."""
        return f"{self.path} --help lists the options."

    def can_be_typed(self, arguments: Sequence[str]) -> bool:
        """Whether the command takes other arguments, and writes over no file that wasn't typed as its output."""
        return can_be_typed(self.context, [*self.path.split()[1:], *arguments], self.arguments)

    def to_type(self, arguments: Sequence[str]) -> str:
        """The command with other arguments, as a hint."""
        return f"Type {' '.join([self.path, *map(quoted, arguments)])}"


def main_name(option: click.Parameter) -> str:
    """What an option is called in messages: the long name that its help lists first."""
    also = hidden_names(option)
    return next((name for name in option.opts if name.startswith("--") and name not in also), option.opts[0])


def hidden_names(option: click.Parameter) -> frozenset[str]:
    """Names that an option has beside those that its help lists."""
    names: frozenset[str] = getattr(option, "also", frozenset())
    return names


def example_of(option: click.Parameter) -> str:
    """An option with a value that it could have, to be typed."""
    example = EXAMPLES.get(main_name(option))
    if example is None and isinstance(option.type, click.Choice):
        example = str(option.type.choices[0])
    elif example is None and is_number(option.type):
        example = str(option.default) if isinstance(option.default, int | float) and option.default > 0 else "10"
    return f"{main_name(option)} {example or option.metavar}"


def is_number(kind: click.ParamType[Any]) -> bool:
    """Whether an option's value is a number."""
    return isinstance(kind, (type(click.INT), type(click.FLOAT)))
