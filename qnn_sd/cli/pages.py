"""``qnn-sd docs``: the pages of the documentation, which every installation brings."""

from __future__ import annotations

from pathlib import Path

import click

from qnn_sd import resources
from qnn_sd.cli.docs import README, name_of
from qnn_sd.cli.documents import DocsDocument
from qnn_sd.cli.documents.pages import Page
from qnn_sd.cli.help import HelpCommand
from qnn_sd.cli.options import output_options
from qnn_sd.console import Console
from qnn_sd.errors import SettingError, did_you_mean


@click.command(
    "docs",
    cls=HelpCommand,
    examples=(("List the pages", "qnn-sd docs"), ("Read the one about phones", "qnn-sd docs phone")),
    docs_page=README,
)
@click.argument("page", required=False)
@output_options
def docs_command(page: str | None, console: Console) -> None:
    """Show a page of the documentation, or list all pages.

    On a terminal a page is shown in your pager ($PAGER), elsewhere it is printed. The pages are Markdown files.
    """
    pages = {each.name: each for each in map(_page, [resources.readme(), *sorted(resources.docs().glob("*.md"))])}
    if page is None:
        console.table(["page", "about"], [[each.name, each.title] for each in pages.values()])
        console.result(f"qnn-sd docs PAGE shows one; the files lie in {resources.docs()}.")
        console.document(DocsDocument(pages=list(pages.values())))
        return
    # As an error names it, too: docs/phone.md.
    known = pages.get(name_of(page))
    if known is None:
        raise SettingError(f"There is no page {page!r}", hint=did_you_mean(page, pages))
    console.document(DocsDocument(pages=[known]))
    if not console.as_json:
        click.echo_via_pager(Path(known.file).read_text("utf-8"))


def _page(file: Path) -> Page:
    heading = file.read_text("utf-8").partition("\n")[0]
    return Page(name=name_of(file.name), title=heading.lstrip("# "), file=str(file))
