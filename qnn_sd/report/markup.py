"""HTML in small pieces. Text from anywhere goes through ``safe``; what is built here is put together as it is."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence

# They join letters and pictograms to one; nothing else that can't be seen is kept.
_JOINERS = "\u200c\u200d"


def safe(text: object) -> str:
    """Text as HTML and SVG take it, in elements and in attributes with double quotes.

    Prompts and names come from strangers: nothing of them is markup, and what can't be printed (control characters,
    overrides of the direction, halves of surrogate pairs) is shown as a replacement character.
    """
    return html.escape(
        "".join(each if each.isprintable() or each in _JOINERS else "\N{REPLACEMENT CHARACTER}" for each in str(text))
    )


def shortened(text: str, most: int) -> str:
    """A name's end where it is long: that tells layers and blocks apart."""
    return text if len(text) <= most else f"…{text[1 - most :]}"


def json_block(value: object, identifier: str) -> str:
    """A JSON value as a data block, which no browser runs; ``</script>`` in a string doesn't end it."""
    text = json.dumps(value, ensure_ascii=True, indent=1, allow_nan=False)
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return f'<script type="application/json" id="{identifier}">\n{text}\n</script>'


def section(title: str, *parts: str) -> str:
    """A part of the page with its heading; parts that are empty are left out."""
    name = title.lower().replace(" ", "-")
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{joined(parts)}\n</section>'


def joined(parts: Iterable[str]) -> str:
    """Pieces one after the other; empty ones are left out."""
    return "\n".join(part for part in parts if part)


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of HTML; empty for an empty one."""
    return f"<p{_class(kind)}>{text}</p>" if text else ""


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str, numbers: Iterable[int] = ()) -> str:
    """A table that scrolls within itself where it is wider than the page.

    Args:
        columns: their heads.
        rows: cells; the first of each is the row's head.
        caption: what the table shows.
        numbers: which columns stand to the right.
    """
    right = set(numbers)

    def cell(tag: str, column: int, content: object, scope: str = "") -> str:
        kind = ' class="number"' if column in right else ""
        return f"<{tag}{scope}{kind}>{safe(content)}</{tag}>"

    head = "".join(cell("th", number, each, ' scope="col"') for number, each in enumerate(columns))
    body = "\n".join(
        "<tr>"
        + cell("th", 0, row[0], ' scope="row"')
        + "".join(cell("td", number, each) for number, each in enumerate(row[1:], 1))
        + "</tr>"
        for row in rows
    )
    # The caption stays where it is while the table scrolls.
    return (
        f'<figure class="table"><figcaption>{safe(caption)}</figcaption>\n'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{safe(caption)}"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div></figure>"
    )


def facts(pairs: Mapping[str, object]) -> str:
    """Names and their values."""
    items = "".join(f"<div><dt>{safe(name)}</dt><dd>{safe(value)}</dd></div>" for name, value in pairs.items())
    return f'<dl class="facts">{items}</dl>'


def tiles(figures: Iterable[tuple[str, str, str, str]]) -> str:
    """Figures to see first: of each its name, the figure, what it is held to, and a CSS class for its colour."""
    made = "".join(
        f'<li{_class(kind)}><span class="name">{safe(name)}</span><span class="figure">{safe(figure)}</span>'
        f'<span class="held">{safe(held)}</span></li>'
        for name, figure, held, kind in figures
    )
    return f'<ul class="tiles">{made}</ul>'


def cards(figures: Iterable[str]) -> str:
    """Figures beside each other, as many as there is room for; empty without any."""
    made = "".join(figures)
    return f'<div class="cards">{made}</div>' if made else ""


def card(title: str, content: str, legend: Iterable[tuple[str, str]] = (), note: str = "") -> str:
    """A plot with its title, its legend (CSS class of the mark, text), and what else there is to know."""
    marks = "".join(f'<li><span class="mark {kind}"></span>{safe(text)}</li>' for kind, text in legend)
    return (
        f'<figure class="card"><figcaption><strong>{safe(title)}</strong></figcaption>{content}'
        + (f'<ul class="legend">{marks}</ul>' if marks else "")
        + (f'<p class="note">{safe(note)}</p>' if note else "")
        + "</figure>"
    )


def command_lines(lines: Iterable[tuple[str, str]]) -> str:
    """What each line does, and the line to type."""
    return "".join(
        f'<p class="does">{safe(what)}</p><pre class="scroll" tabindex="0"><code>{safe(line)}</code></pre>'
        for what, line in lines
    )


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
