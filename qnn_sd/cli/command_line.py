"""A command line, taken apart as click takes it, and put together to be pasted into a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import click
from click.core import ParameterSource

# Around a prompt that was typed in an editor; the shell's own too.
EDITORS_QUOTES = "“”„‘’\"' "  # noqa: RUF001 (those quotes)


@dataclass
class Given:
    """An option as it was typed.

    Attributes:
        name: as typed, such as ``--seed``.
        option: what it is; None for one that the command doesn't have.
        value: its value; None for a switch, or where nothing follows.
        tokens: the words of the command line that it is made of.
        after: the words between its value and the next option.
    """

    name: str
    option: click.Option | None
    value: str | None
    tokens: list[str]
    after: list[str] = field(default_factory=list)


@dataclass
class CommandLine:
    """What was typed after a command.

    Attributes:
        options: in their order.
        words: what belongs to no option.
        order: options and words as they were typed.
        after_dashes: whether a ``--`` stands before the last words.
    """

    options: list[Given] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    order: list[Given | str] = field(default_factory=list)
    after_dashes: bool = False

    def option_text(self) -> str:
        """The options, to be pasted after a command; with a space before it unless there are none."""
        return "".join(f" {quoted(token)}" for each in self.options for token in each.tokens)


def is_typed(context: click.Context, name: str | None) -> bool:
    """Whether a parameter's value was typed, not left to its default."""
    return context.get_parameter_source(name or "") is ParameterSource.COMMANDLINE


def options_by_name(command: click.Command, context: click.Context) -> dict[str, click.Option]:
    """A command's options by every name that they have."""
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    return {name: each for each in options for name in (*each.opts, *each.secondary_opts)}


def takes_value(option: click.Option) -> bool:
    """Whether an option is no switch."""
    return not option.is_flag and not option.count


def taken_apart(arguments: Sequence[str], known: Mapping[str, click.Option]) -> CommandLine:
    """The options and words of a command line.

    Args:
        arguments: what was typed.
        known: options by name.
    """
    line = CommandLine()
    left = list(arguments)
    while left:
        token = left.pop(0)
        if token == "--":
            line.after_dashes = True
            line.words += left
            line.order += left
            break
        if not token.startswith("-") or token == "-":
            line.words.append(token)
            line.order.append(token)
            if line.options:
                line.options[-1].after.append(token)
            continue
        name, equals, value = token.partition("=") if token.startswith("--") else (token[:2], token[2:], token[2:])
        option = known.get(name)
        given = Given(name, option, value if equals else None, [token])
        if option is not None and takes_value(option) and not equals and left:
            given.value = left.pop(0)
            given.tokens.append(given.value)
        line.options.append(given)
        line.order.append(given)
    return line


def with_dashes(arguments: Sequence[str], known: Mapping[str, click.Option]) -> list[str]:
    """A command line with dashes in options' names, where underscores were typed as diffusers' scripts have them.

    Args:
        arguments: what was typed.
        known: options by name.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    spelled = []
    for place, token in enumerate(arguments):
        name, equals, value = token.partition("=")
        meant = name.replace("_", "-")
        is_slip = place < end and name.startswith("--") and name not in known and meant in known
        spelled.append(f"{meant}{equals}{value}" if is_slip else token)
    return spelled


def quoted(token: str) -> str:
    """A word for the shell: as it is, in double quotes, or in single ones where those would change it."""
    if re.fullmatch(r"[\w@%+=:,./-]+", token, re.ASCII):
        return token
    return in_quotes(token)


def in_quotes(text: str) -> str:
    """A text in quotes for the shell, always."""
    return f'"{text}"' if not re.search(r'["$`\\!]', text) else shlex.quote(text)


def prompt_of(words: Iterable[str]) -> str:
    """Words that were meant as one prompt, in quotes; quotes of a text editor are left out."""
    return in_quotes(" ".join(words).strip(EDITORS_QUOTES))
