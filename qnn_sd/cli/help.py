"""How every command's help reads: what it does, two examples, options in groups with their defaults, the docs page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from qnn_sd.cli.docs import name_of

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
    """

    def __init__(self, *names: Any, group: str, default_text: str | None = None, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.group = group
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
        record = super().get_help_record(ctx)
        if record is None or self.default_text is None:
            return record
        return record[0], f"{record[1]}  [default: {self.default_text}]"


def option(*names: str, group: str, **attributes: Any) -> Decorator:
    """``click.option`` for a ``GroupedOption``."""
    return click.option(*names, cls=GroupedOption, group=group, **attributes)


class HelpCommand(click.Command):
    """A command whose help has examples, groups and a docs page.

    Args:
        examples: what each does, and the command line; two of them.
        docs_page: path of the page in the repository.
    """

    def __init__(self, *arguments: Any, examples: Examples, docs_page: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.examples, self.docs_page = examples, docs_page
        self.context_settings.setdefault("max_content_width", WIDTH + 2)  # click takes two columns off
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the help."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        _write_examples(formatter, self.examples)
        _write_options(formatter, self.get_params(ctx), ctx)
        _write_page(formatter, self.docs_page)


class HelpGroup(click.Group):
    """A group of commands, in sections, with the same help.

    Args:
        sections: the commands, by heading.
        examples: as a command has them.
        docs_page: as a command has it.
    """

    def __init__(
        self,
        *arguments: Any,
        sections: Mapping[str, Sequence[click.Command]],
        examples: Examples,
        docs_page: str,
        **attributes: Any,
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.sections, self.examples, self.docs_page = sections, examples, docs_page
        self.context_settings.setdefault("max_content_width", WIDTH + 2)
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])
        for command in (each for commands in sections.values() for each in commands):
            self.add_command(command)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        """Their names, in the order of the sections."""
        return list(self.commands)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the help."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        _write_examples(formatter, self.examples)
        width = max(map(len, self.commands))
        for heading, commands in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{each.name:<{width}}", _first_sentence(each)) for each in commands])
        _write_options(formatter, self.get_params(ctx), ctx)
        _write_page(formatter, self.docs_page)


def _first_sentence(command: click.Command) -> str:
    return (command.help or "").partition("\n\n")[0].replace("\n", " ")


def _write_examples(formatter: click.HelpFormatter, examples: Examples) -> None:
    with formatter.section("Examples"):
        for number, (purpose, line) in enumerate(examples):
            if number:
                formatter.write_paragraph()
            formatter.write_text(f"{purpose}:")
            # As it is: one that were wrapped could not be typed.
            formatter.write(f"{'':{formatter.current_indent + 2}}{line}\n")


def _write_options(formatter: click.HelpFormatter, parameters: Iterable[click.Parameter], ctx: click.Context) -> None:
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


def _write_page(formatter: click.HelpFormatter, page: str) -> None:
    formatter.write_paragraph()
    formatter.write(f"Docs: qnn-sd docs {name_of(page)}\n")
