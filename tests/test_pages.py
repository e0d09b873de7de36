"""``qnn-sd docs``: the pages that every installation brings."""

from __future__ import annotations

import re

from cli_here import CliHere
from conftest import ROOT

from qnn_sd.cli import docs


def test_all_pages_are_listed_with_where_they_lie(cli_here: CliHere) -> None:
    done = cli_here("docs")
    assert done.returncode == 0
    listed = re.findall(r"^(\S+)  +\S", done.stdout, re.M)[1:]
    assert sorted(listed) == sorted(["readme", *(page.stem for page in (ROOT / "docs").glob("*.md"))])
    assert f"the files lie in {ROOT / 'docs'}" in done.stdout


def test_a_page_is_printed_as_it_is(cli_here: CliHere) -> None:
    text = (ROOT / "docs" / "phone.md").read_text("utf-8")
    for name in ("phone", "phone.md", "docs/phone.md", "Phone"):
        assert cli_here("docs", name).stdout.rstrip("\n") == text.rstrip("\n")
    assert cli_here("docs", "readme").stdout.startswith("# qnn-sd\n")


def test_one_page_as_json(cli_here: CliHere) -> None:
    assert cli_here.json("docs", "compile")["pages"] == [
        {"name": "compile", "title": "Compile", "file": str(ROOT / "docs" / "compile.md")}
    ]


def test_a_page_that_does_not_exist_is_refused_with_the_one_that_does(cli_here: CliHere) -> None:
    said = cli_here.refused(3, "docs", "fone")
    assert "There is no page 'fone'" in said
    assert "Did you mean phone?" in said


def test_every_page_that_a_help_names_is_one(cli_here: CliHere) -> None:
    names = {docs.name_of(page) for page in vars(docs).values() if isinstance(page, str) and page.endswith(".md")}
    assert len(names) > 5
    for name in names:
        cli_here.json("docs", name)
