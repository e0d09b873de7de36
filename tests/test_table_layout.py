"""Tables and helps: whole in a pipe, no word cut or split on a terminal of 80 columns."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import click
import pytest
from rich.console import Console as RichConsole

from qnn_sd import table_layout
from qnn_sd.cli.app import cli
from qnn_sd.cli.help import HelpGroup
from qnn_sd.table_layout import print_table

HEADS = ("", "check", "found", "what to do")
ROWS = (
    ("ok", "python", "3.11.7", ""),
    (
        "failed",
        "packages",
        "onnxruntime-qnn 2.6.0 with ONNX Runtime 1.26",
        "Type pip install onnxruntime==1.27 --force",
    ),
)
PATH = "/home/somebody/.cache/qnn-sd/bundle/tiny-sd.sm8650-1bd71794101f/vae_decoder/htp/model_ctx_qnn.bin"


def printed(
    monkeypatch: pytest.MonkeyPatch, rows: Sequence[Sequence[str]], terminal: bool, width: int = 80
) -> list[str]:
    file = io.StringIO()

    def console(**options: Any) -> RichConsole:
        return RichConsole(**{"width": width, **options}, file=file, force_terminal=terminal, no_color=True)

    monkeypatch.setattr(table_layout, "Console", console)
    print_table(console(highlight=False, soft_wrap=True), HEADS, rows, [False] * len(HEADS))
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in file.getvalue().splitlines()]


def words(rows: Sequence[Sequence[str]]) -> set[str]:
    return {word for row in (HEADS, *rows) for cell in row for word in cell.split()}


def test_in_a_pipe_every_row_has_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (*ROWS, ("ok", "disk", PATH, PATH))
    lines = printed(monkeypatch, rows, terminal=False)
    assert len(lines) == 1 + len(rows)
    for row, line in zip(rows, lines[1:], strict=True):
        assert re.split(" {2,}", line) == [cell for cell in row if cell]


def test_on_a_terminal_lines_break_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, ROWS, terminal=True)
    assert len(lines) > 1 + len(ROWS)
    assert max(map(len, lines)) <= 80
    assert {word for line in lines for word in line.split()} == words(ROWS)


def test_what_does_not_fit_at_all_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (*ROWS, ("ok", "disk", PATH, ""))
    lines = printed(monkeypatch, rows, terminal=True)
    assert f"found       {PATH}" in lines
    assert lines.count("") == len(rows) - 1
    assert {word for line in lines for word in line.split()} == words(rows)


def test_what_fits_is_a_table_on_a_terminal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (True, False):
        assert printed(monkeypatch, ROWS, terminal, width=200) == printed(monkeypatch, ROWS, False, width=200)


def commands(group: HelpGroup = cli, path: str = "qnn-sd") -> Iterator[tuple[str, click.Command]]:  # type: ignore[assignment]
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, HelpGroup):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


ALL = dict(commands())


def help_text(path: str, command: click.Command, width: int) -> str:
    settings = {**command.context_settings, "terminal_width": width}
    return command.get_help(command.context_class(command, info_name=path, **settings))


@pytest.mark.parametrize("path", ALL)
def test_a_help_at_80_columns_has_the_words_of_a_wide_one(path: str) -> None:
    narrow, wide = (help_text(path, ALL[path], width) for width in (80, 400))
    examples = [line for _, line in ALL[path].examples]  # type: ignore[attr-defined]
    assert narrow.split() == wide.split(), "a word is split"
    assert all(line in narrow for line in examples)
    # An example is one line, to be copied.
    assert [line for line in narrow.splitlines() if len(line) > 80 and line.strip() not in examples] == []
