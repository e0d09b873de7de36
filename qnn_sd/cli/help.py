"""How every command's help reads: what it does, two examples, options in groups with their defaults, the docs page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from qnn_sd.cli.command_line import options_by_name, with_dashes
from qnn_sd.cli.complaints import explained
from qnn_sd.cli.help_text import (
    BUILD,
    CHECKS,
    GENERATION,
    GROUPS,
    MEASUREMENT,
    MODEL,
    OUTPUT,
    QUANTIZATION,
    TARGET,
    WIDTH,
    Examples,
    GroupedOption,
    HelpContext,
    first_sentence,
    option,
    write_examples,
    write_options,
    write_page,
)
from qnn_sd.cli.slips import refuse_slips
from qnn_sd.cli.suggested_line import checked
from qnn_sd.cli.typed_command import TypedCommand
from qnn_sd.cli.unknown_command import options_before_command, unknown_command
from qnn_sd.errors import UsageError

__all__ = [
    "BUILD",
    "CHECKS",
    "GENERATION",
    "GROUPS",
    "MEASUREMENT",
    "MODEL",
    "OUTPUT",
    "QUANTIZATION",
    "TARGET",
    "WIDTH",
    "GroupedOption",
    "HelpCommand",
    "HelpGroup",
    "option",
]

# How other programs are asked for their help.
HELP_ELSEWHERE = {"-help", "-?", "/?", "/help", "--h"}


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

    context_class = HelpContext

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses what was typed after the command.

        Raises:
            UsageError: it can't be understood; the message says what to type.
        """
        if ctx.resilient_parsing:  # a shell completes
            return super().parse_args(ctx, args)
        if args == ["help"] or set(args[:1]) & HELP_ELSEWHERE:
            return super().parse_args(ctx, ["--help"])
        args = with_dashes(args, options_by_name(self, ctx))
        typed = TypedCommand(self, ctx, args)
        try:
            if not set(args) & set(ctx.help_option_names):
                refuse_slips(typed)
            return super().parse_args(ctx, list(args))
        except UsageError as error:
            raise checked(error, ctx, typed.arguments) from error
        except click.UsageError as error:
            raise checked(explained(typed, error), ctx, typed.arguments) from error

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the help."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        write_examples(formatter, self.examples)
        write_options(formatter, self.get_params(ctx), ctx)
        write_page(formatter, self.docs_page)


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

    context_class = HelpContext

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses what was typed, up to the command.

        Raises:
            UsageError: an option that is none of the group's.
        """
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        match args:
            case []:
                args = ["--help"]
            case [word] if word in HELP_ELSEWHERE:
                args = ["--help"]
            case ["help", *rest]:
                args = [*rest, "--help"]
            case ["version", *rest] if ctx.parent is None:
                args = ["--version", *rest]
        typed = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise checked(options_before_command(self, ctx, typed, error), ctx, typed) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of what was typed.

        Raises:
            UsageError: there is none of that name.
        """
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise checked(unknown_command(self, ctx, args), ctx, args)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        """Their names, in the order of the sections."""
        return list(self.commands)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the help."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        write_examples(formatter, self.examples)
        width = max(map(len, self.commands))
        for heading, commands in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{each.name:<{width}}", first_sentence(each)) for each in commands])
        write_options(formatter, self.get_params(ctx), ctx)
        write_page(formatter, self.docs_page)
