"""Help texts: one voice for all commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from conftest import ROOT

from qnn_sd.cli import docs
from qnn_sd.cli.app import cli
from qnn_sd.cli.help import GROUPS, WIDTH, GroupedOption, HelpCommand, HelpGroup
from qnn_sd.errors import UsageError

Described = HelpCommand | HelpGroup
# What the kit calls by another name.
OTHER_WORDS = ("picture", "paint", "prove", "drawing", "disk space", "handset", "chipset", "room for")


def commands(group: HelpGroup = cli, path: str = "qnn-sd") -> Iterator[tuple[str, Described]]:
    """Every command and group, with what is typed to reach it."""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, HelpGroup):
            yield from commands(command, f"{path} {name}")
        else:
            assert isinstance(command, HelpCommand), f"{path} {name} has no help of the common form"
            yield f"{path} {name}", command


def help_of(path: str, command: Described) -> str:
    return command.get_help(click.Context(command, info_name=path, **command.context_settings))


def options_of(command: Described) -> list[GroupedOption]:
    return [each for each in command.params if isinstance(each, click.Option)]  # type: ignore[misc]


ALL = dict(commands())
each_command = pytest.mark.parametrize(("path", "command"), ALL.items(), ids=ALL.keys())


def test_no_command_is_left_out() -> None:
    assert {path.partition(" ")[2] for path in ALL} == {
        *("", "export", "quantize", "compile", "cost", "verify", "inspect", "report", "run", "bench", "devices"),
        *("unstage", "virtual-phone", "doctor", "docs", "completion", "runtime", "runtime fetch", "runtime list"),
        *("profile", "hub", "hub jobs", "hub resume", "hub devices", "hub stand-in"),
    }


@each_command
def test_a_sentence_then_two_examples_then_groups_then_the_page(path: str, command: Described) -> None:
    text = help_of(path, command)
    heads = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert heads[0].startswith(f"Usage: {path} ")
    assert heads[1] == "Examples:"
    groups = [head.removesuffix(":") for head in heads[2:-1]]
    sections = list(command.sections) if isinstance(command, HelpGroup) else []
    assert groups[: len(sections)] == sections
    assert groups[len(sections) :] == [name for name in GROUPS if name in groups[len(sections) :]]
    assert heads[-1] == text.splitlines()[-1] == f"Docs: qnn-sd docs {docs.name_of(command.docs_page)}"
    first = (command.help or "").partition("\n\n")[0].replace("\n", " ")
    assert re.fullmatch(r"[A-Z][a-z]+ [^.]+\.", first), "it begins with one sentence that says what it does"


@each_command
def test_no_line_is_longer_than_a_page(path: str, command: Described) -> None:
    assert [line for line in help_of(path, command).splitlines() if len(line) > WIDTH] == []


@each_command
def test_two_examples_parse(path: str, command: Described) -> None:
    """By click itself: the command, its options, their types and choices; nothing is run."""
    assert len(command.examples) == 2
    for purpose, line in command.examples:
        assert purpose[0].isupper()
        assert not purpose.endswith((".", ":"))
        assert line in help_of(path, command)
        assert line.startswith(path), "an example of another command"
        program, *arguments = shlex.split(line)
        assert program == "qnn-sd"
        reached: click.Command = cli
        context = reached.make_context("qnn-sd", arguments)
        while isinstance(reached, click.Group):
            rest = [*context._protected_args, *context.args]
            name, found, rest = reached.resolve_command(context, rest)
            assert found is not None
            reached, context = found, found.make_context(name, rest, parent=context)
        if isinstance(command, HelpCommand):
            assert reached is command


def test_an_example_that_is_wrong_would_be_found() -> None:
    for line in ("compile --sox sm8650", "run", "cost --by layer", "bench --rounds many"):
        name, *arguments = shlex.split(line)
        with pytest.raises(UsageError):
            cli.commands[name].make_context(name, arguments)


@each_command
def test_every_option_has_a_group_a_text_and_its_default(path: str, command: Described) -> None:
    context = click.Context(command, info_name=path)
    for option in options_of(command):
        assert isinstance(option, GroupedOption), option.opts
        assert option.group in GROUPS
        assert option.help
        assert option.help.endswith("."), option.help
        record = option.get_help_record(context)
        assert record is not None
        single_switch = option.is_flag and not option.secondary_opts
        assert ("[default: " in record[1]) != single_switch, option.opts
        if not option.is_flag and not isinstance(option.type, click.Choice):
            assert option.metavar, option.opts


@each_command
def test_the_page_exists(path: str, command: Described) -> None:
    assert command.docs_page in vars(docs).values(), "a page that the table of pages doesn't know"
    assert (ROOT / command.docs_page).is_file()


@each_command
def test_the_words_are_the_fields(path: str, command: Described) -> None:
    text = help_of(path, command).lower()
    assert [word for word in OTHER_WORDS if word in text] == []
    for name in ("soc", "npu", "htp", "qdq"):
        # Written in its own way outside option names, commands and defaults.
        words = re.findall(rf"(?<![\w./\-=:]){name}(?![\w./\-=:])", _prose(command), re.IGNORECASE)
        assert set(words) <= {"SoC", "NPU", "HTP", "QDQ"}, (name, words)


def _prose(command: Described) -> str:
    texts = [command.help or "", *(purpose for purpose, _ in command.examples)]
    return "\n".join([*texts, *(option.help or "" for option in options_of(command))])


def test_defaults_are_the_real_ones() -> None:
    """What is shown is what holds when nothing is typed."""
    shown = {
        path: {option.opts[0]: option.default_text for option in options_of(command)} for path, command in ALL.items()
    }
    assert shown["qnn-sd compile"]["--soc"] == "sm8650"
    assert shown["qnn-sd cost"]["--soc"] == "qcs9075"
    assert shown["qnn-sd run"]["--steps"] == "the model's"
    assert shown["qnn-sd run"]["-n"] == "1"
    assert shown["qnn-sd run"]["-o"] == "out.png"
    assert shown["qnn-sd run"]["--fallback"] == "fallback"
    assert shown["qnn-sd bench"]["--perf-mode"] == "burst"
    assert shown["qnn-sd bench"]["--rounds"] == "20"
