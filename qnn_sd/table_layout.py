"""How a table is laid out: whole in a pipe, and on a narrow terminal so that no word is cut.

Names, paths and commands are read by people and scripts: what is cut or split can't be copied.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP = 2


def print_table(out: Console, heads: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    """Prints a table: each row in a line where they fit or nobody looks, else wrapped between words.

    Where the longest words alone are wider than the terminal, each row is a list of its cells, one a line.

    Args:
        out: where to.
        heads: the columns'.
        rows: cells, as many as heads.
        numeric: which columns hold numbers, which stand to the right.
    """
    columns = [[head, *(row[index] for row in rows)] for index, head in enumerate(heads)]
    widths = [max(map(_width, cells)) for cells in columns]
    if out.is_terminal and sum(widths) + _GAP * (len(heads) - 1) > out.width:
        least = [max(_width(word) for cell in cells for word in cell.split() or [""]) for cells in columns]
        spare = out.width - _GAP * (len(heads) - 1) - sum(least)
        if spare < 0:
            _print_lists(out, heads, rows)
            return
        widths = _widened(least, widths, spare)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for head, width, right in zip(heads, widths, numeric, strict=True):
        table.add_column(head, justify="right" if right else "left", width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    # print() takes no width beyond its console's.
    width = max(out.width, sum(widths) + _GAP * len(heads))
    Console(highlight=False, soft_wrap=True, width=width).print(table, crop=False)


def _width(text: str) -> int:
    return Text(text).cell_len


def _widened(least: Sequence[int], most: Sequence[int], spare: int) -> list[int]:
    """Widths between the two; what is to spare goes to those that need least first, so that most rows have a line."""
    widths = list(least)
    for index in sorted(range(len(widths)), key=lambda index: most[index] - least[index]):
        more = min(spare, most[index] - least[index])
        widths[index] += more
        spare -= more
    return widths


def _print_lists(out: Console, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    longest = max(map(_width, heads))
    for number, row in enumerate(rows):
        if number:
            out.print()
        for head, cell in zip(heads, row, strict=True):
            if cell:
                out.print(Text(head, style="bold") + Text(f"{'':{longest - _width(head) + _GAP}}{cell}"))
