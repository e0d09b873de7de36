"""click's complaints of a command line, in the form of all errors: what was wrong, and what to type instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from qnn_sd.cli.command_line import (
    in_quotes,
    options_by_name,
    prompt_of,
    quoted,
    taken_apart,
    takes_value,
    with_dashes,
)
from qnn_sd.cli.extra_words import extra_words
from qnn_sd.cli.spellings import INSTEAD
from qnn_sd.cli.typed_command import (
    EXAMPLE_PROMPT,
    PROMPT,
    TypedCommand,
    example_of,
    hidden_names,
    is_number,
    main_name,
)
from qnn_sd.errors import UsageError


def explained(typed: TypedCommand, raised: click.UsageError) -> UsageError:
    """What click complains of, as all errors are told.

    Args:
        typed: what was typed.
        raised: click's complaint.
    """
    match raised:
        case click.NoSuchOption():
            return _no_such_option(typed, raised.option_name)
        case click.MissingParameter():
            return _missing(typed, raised.param)
        case click.BadParameter() if raised.param is not None:
            return _bad_value(typed, raised.param, raised.message)
        case click.BadOptionUsage() if raised.option_name in typed.known:
            return _bad_usage(typed, raised.option_name)
    if typed.line.words and "unexpected extra argument" in raised.message:
        return extra_words(typed)
    return UsageError(raised.format_message().removesuffix("."), hint=typed.help_hint)


def _no_such_option(typed: TypedCommand, name: str) -> UsageError:
    what = f"There is no option {name}"
    if name in INSTEAD:
        return UsageError(what, hint=INSTEAD[name])
    if name == "--prompt" and typed.has_prompt:
        return UsageError(what, why="The prompt needs none.", hint=_without_option(typed, name))
    owners = _commands_with(typed, name)
    others = " and ".join(owners) if len(owners) < 3 else f"{owners[0]}, {owners[1]} and others"
    shown = [each for each, option in typed.known.items() if each.startswith("--") and each not in hidden_names(option)]
    # What another command has is no slip of the pen, unless it is all but the same.
    close = difflib.get_close_matches(name.lower(), shown, n=1, cutoff=0.8 if owners else 0.75)
    return UsageError(
        what,
        why=f"It is one of {others}." if owners else "",
        hint=f"Did you mean {close[0]}? {typed.help_hint}" if close else typed.help_hint,
    )


def _commands_with(typed: TypedCommand, name: str) -> list[str]:
    """The commands that have an option."""
    root = typed.context.find_root().command
    return [path for path, each in _commands(root, "qnn-sd") if name in options_by_name(each, typed.context)]


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command, with what is typed to reach it."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from _commands(each, f"{path} {name}")
    else:
        yield path, command


def _without_option(typed: TypedCommand, name: str) -> str:
    """The line with an option's name left out, and its value as the prompt; other programs' size in one option."""
    return f"Type {typed.path} {translated(typed.arguments, typed.known, name)}"


def translated(arguments: Sequence[str], known: Mapping[str, click.Option], name: str = "--prompt") -> str:
    """What follows ``run`` here, of a line as another program takes it.

    Args:
        arguments: what was typed.
        known: the options of ``run``, by name.
        name: an option that has the prompt.
    """
    sides = {**dict.fromkeys(("--width", "--W", "-W"), 0), **dict.fromkeys(("--height", "--H", "-H"), 1)}
    foreign = {each: click.Option([each], type=str) for each in (name, *sides) if each not in known}
    line = taken_apart(with_dashes(arguments, known), {**foreign, **known})
    prompt = [each.value for each in line.options if each.name == name and each.value]
    size = {sides[each.name]: each.value for each in line.options if each.name in sides and each.value}
    line.options = [each for each in line.options if each.name not in foreign]
    text = "x".join(size[side] for side in sorted(size))
    words = [*prompt, *line.words]
    # An image that is made again has its own.
    if not words and any(each.name == "--like" for each in line.options):
        return line.option_text().strip()
    return f"{prompt_of(words or [EXAMPLE_PROMPT])}{line.option_text()}{text and f' --size {text}'}"


def _missing(typed: TypedCommand, parameter: click.Parameter | None) -> UsageError:
    if parameter is not None and parameter.name == PROMPT:
        line = f"{typed.path} {in_quotes(EXAMPLE_PROMPT)}{typed.line.option_text()}"
        return UsageError("The prompt is missing", hint=f"Type {line}")
    name = "A value" if parameter is None else f"The {parameter.name}"
    examples = getattr(typed.command, "examples", ())
    return UsageError(f"{name} is missing", hint=f"Such as: {examples[0][1]}" if examples else typed.help_hint)


def _bad_value(typed: TypedCommand, option: click.Parameter, message: str) -> UsageError:
    is_option = isinstance(option, click.Option)
    values = [each.value for each in typed.line.options if each.option is option and each.value is not None]
    words = values if is_option else typed.line.words
    value = quoted(words[-1]) if words else "that"
    name = f"{main_name(option)} {value}" if is_option else value
    kind = option.type
    if isinstance(kind, click.Choice):
        return _no_choice(option, kind, name, value)
    if isinstance(kind, click.IntRange | click.FloatRange) and "not in the range" in message:
        least = "" if kind.min is None else f"more than {kind.min}" if kind.min_open else f"{kind.min} or more"
        most = "" if kind.max is None else f"less than {kind.max}" if kind.max_open else f"{kind.max} or less"
        return UsageError(f"{name} is not possible", hint=f"Choose {', '.join(filter(None, (least, most)))}.")
    if is_number(kind):
        return _no_number(option, name, value)
    return UsageError(f"{name} is not possible", why=message, hint=f"Try {example_of(option)}.")


def _no_choice(option: click.Parameter, kind: click.Choice[Any], name: str, value: str) -> UsageError:
    what = f"{name} is not possible"
    if getattr(option, "multiple", False) and "," in value:
        words = " ".join(f"{main_name(option)} {word.strip()}" for word in value.strip('"').split(",") if word)
        return UsageError(what, why="It takes one at a time.", hint=f"Repeat it: {words}")
    if getattr(option, "multiple", False) and value == "all":
        return UsageError(what, hint="All is what holds without it: leave it out.")
    *others, last = map(str, kind.choices)
    return UsageError(what, hint=f"Choose {', '.join(others)}{' or ' if others else ''}{last}.")


def _no_number(option: click.Parameter, name: str, value: str) -> UsageError:
    whole, point = isinstance(option.type, type(click.INT)), value.replace(",", ".")
    what = f"{name} is no {'whole ' if whole else ''}number"
    if not whole and re.fullmatch(r"-?\d+\.\d+", point):
        return UsageError(what, hint=f"Write it with a point: {main_name(option)} {point}.")
    return UsageError(what, hint=f"Give one, such as {example_of(option)}.")


def _bad_usage(typed: TypedCommand, name: str) -> UsageError:
    option = typed.known[name]
    if takes_value(option):
        return UsageError(f"{name} has no value", hint=f"Give it one, such as {example_of(option)}.")
    return UsageError(f"{name} takes no value", hint=f"Type {name} alone.")
