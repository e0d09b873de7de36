"""What a help text is made of: options in groups with their defaults, and lines that break at spaces alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from qnn_sd.cli.docs import name_of
from qnn_sd.cli.spellings import ALSO
from qnn_sd.cli.value_types import type_of

# The groups, in the order of a help text.
MODEL = "Model"
QUANTIZATION = "Quantization"
BUILD = "Build"
TARGET = "Target"
GENERATION = "Generation"
MEASUREMENT = "Measurement"
CHECKS = "Checks"
OUTPUT = "Output"
GROUPS = (MODEL, QUANTIZATION, BUILD, TARGET, GENERATION, MEASUREMENT, CHECKS, OUTPUT)

WIDTH = 100
# Options with longer names have a line of their own.
_LONGEST_NAME = 28

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Examples = Sequence[tuple[str, str]]


class GroupedOption(click.Option):
    """An option with a group in the help text, and its default after the text.

    Args:
        group: one of ``GROUPS``.
        default_text: what holds without it, where that is no fixed value.

    Attributes:
        also: names that are accepted and not listed.
    """

    def __init__(
        self,
        names: Sequence[str],
        *arguments: Any,
        group: str,
        default_text: str | None = None,
        **attributes: Any,
    ) -> None:
        also = [other for name in names for other in ALSO.get(name, ()) if other not in names]
        attributes["type"] = type_of(names, attributes.get("type"))
        super().__init__([*names, *also], *arguments, **attributes)
        self.group, self.also = group, frozenset(also)
        self.default_text = default_text or self._text_of(attributes.get("default"))

    def _text_of(self, default: object) -> str | None:
        if self.is_flag:
            # Of a pair of switches the one that holds; one alone is off.
            return (self.opts if default else self.secondary_opts)[0].lstrip("-") if self.secondary_opts else None
        if default is None:
            return None
        return ", ".join(map(str, default)) if isinstance(default, (list, tuple)) else str(default)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Names, and the text with the default."""
        shown = copy.copy(self)
        shown.opts = [name for name in self.opts if name not in self.also]
        record = click.Option.get_help_record(shown, ctx)
        if record is None or self.default_text is None:
            return record
        return record[0], f"{record[1]}  [default: {self.default_text}]"


def option(*names: str, group: str, **attributes: Any) -> Decorator:
    """``click.option`` for a ``GroupedOption``."""
    return click.option(*names, cls=GroupedOption, group=group, **attributes)


class Formatter(click.HelpFormatter):
    """Breaks lines at spaces alone: a command or an option that is cut at its dash can't be read or copied."""

    # Looks the same to the wrapping, and is no place to break at.
    _UNBROKEN = "\u2011"

    def write_text(self, text: str) -> None:
        """Writes paragraphs."""
        super().write_text(text.replace("-", self._UNBROKEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], *arguments: Any, **options: Any) -> None:
        """Writes rows of names and texts."""
        kept = [(name, text.replace("-", self._UNBROKEN)) for name, text in rows]
        super().write_dl(kept, *arguments, **options)

    def getvalue(self) -> str:
        """All that was written."""
        return super().getvalue().replace(self._UNBROKEN, "-")


class HelpContext(click.Context):
    """Gives commands that formatter."""

    formatter_class = Formatter


def first_sentence(command: click.Command) -> str:
    """What a command does, in one line."""
    return (command.help or "").partition("\n\n")[0].replace("\n", " ")


def write_examples(formatter: click.HelpFormatter, examples: Examples) -> None:
    """Writes what each example does, and its line."""
    with formatter.section("Examples"):
        for number, (purpose, line) in enumerate(examples):
            if number:
                formatter.write_paragraph()
            formatter.write_text(f"{purpose}:")
            # As it is: one that were wrapped could not be typed.
            formatter.write(f"{'':{formatter.current_indent + 2}}{line}\n")


def write_options(formatter: click.HelpFormatter, parameters: Iterable[click.Parameter], ctx: click.Context) -> None:
    """Writes the options, group by group."""
    groups: dict[str, list[tuple[str, str]]] = {name: [] for name in GROUPS}
    for each in parameters:
        record = each.get_help_record(ctx)
        if isinstance(each, click.Option) and record is not None:
            # click's own --help has no group.
            groups[each.group if isinstance(each, GroupedOption) else OUTPUT].append(record)
    # One column of texts for all groups.
    width = min(max(len(name) for rows in groups.values() for name, _ in rows), _LONGEST_NAME)
    for heading, rows in groups.items():
        if rows:
            with formatter.section(heading):
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in rows], col_max=_LONGEST_NAME)


def write_page(formatter: click.HelpFormatter, page: str) -> None:
    """Writes where more is to read."""
    formatter.write_paragraph()
    formatter.write(f"Docs: qnn-sd docs {name_of(page)}\n")
