"""Lines that a message tells to type: none is shown that fails as it is, or that writes over somebody's file."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from itertools import pairwise

import click

from qnn_sd.cli.command_line import is_typed
from qnn_sd.errors import QnnSdError, UsageError

_META = "qnn_sd.suggested_line"
_LINE = re.compile(r"(?:[Tt]ype|Did you mean) qnn-sd (.+?)\??$")


def checked(error: UsageError, context: click.Context, typed: Sequence[str]) -> UsageError:
    """An error without the line that it tells to type, if that line can't be typed.

    Args:
        error: what is to be said.
        context: the command's.
        typed: the arguments that were typed.
    """
    found = _LINE.search(error.hint)
    if found is None:
        return error
    try:
        line = shlex.split(found[1])
    except ValueError:
        line = ["?"]
    if can_be_typed(context, line, typed):
        return error
    path, listed, meant = context.command_path, "options", ""
    if isinstance(context.command, click.Group):
        if line[0] in context.command.commands:
            path, meant = f"{path} {line[0]}", f"Did you mean the command {line[0]}? "
        else:
            listed = "commands"
    return UsageError(error.what, why=error.why, hint=f"{meant}{path} --help lists the {listed}.")


def can_be_typed(context: click.Context, line: Sequence[str], typed: Sequence[str]) -> bool:
    """Whether a line parses, and writes over no file but one that was typed as the output.

    Args:
        context: any of the command line's contexts.
        line: what comes after ``qnn-sd``.
        typed: the arguments that were typed.
    """
    # A line that is only tried has suggestions of its own; nobody sees them.
    if context.meta.get(_META):
        return True
    command, left = context.find_root().command, list(line)
    place = click.Context(command, info_name="qnn-sd")
    place.meta[_META] = True
    name = ""
    while isinstance(command, click.Group):
        if not left or left[0].startswith("-"):
            return True
        name = left.pop(0)
        if name not in command.commands:
            return False
        command = command.commands[name]
        if isinstance(command, click.Group):
            place = click.Context(command, info_name=name, parent=place)
    # click would print it.
    if {"-h", "--help"} & set(left):
        return True
    try:
        with command.make_context(name, left, parent=place) as parsed:
            return not _overwrites(parsed, typed)
    except (QnnSdError, click.ClickException, OSError):
        return False


def _overwrites(parsed: click.Context, typed: Sequence[str]) -> bool:
    for option in parsed.command.params:
        path = parsed.params.get(option.name or "")
        if "-o" not in option.opts or path is None or not os.path.isfile(path):  # noqa: PTH113 (any text)
            continue
        if is_typed(parsed, option.name) and not _is_named(option, str(path), typed):
            return True
    return False


def _is_named(option: click.Parameter, path: str, typed: Sequence[str]) -> bool:
    """Whether an output was typed as one."""
    named = [value for name, value in pairwise(typed) if name in option.opts]
    named += [value for name, _, value in (each.partition("=") for each in typed) if name in option.opts]
    named += [each[2:] for each in typed if each.startswith("-o")]
    return path in (os.path.expanduser(each) for each in named)  # noqa: PTH111 (any text)
