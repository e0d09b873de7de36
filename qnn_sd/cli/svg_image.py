"""Images of commands as SVG: their page, their colours by day and by night, text and bars."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from qnn_sd.output_files import written_aside
from qnn_sd.report.markup import safe

WIDTH, MARGIN = 960, 16
# Its own background: a page's may be of the other kind than the reader's system says.
_STYLE = """
text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.muted { fill: #59636e; }
.page { fill: #ffffff; stroke: #d1d9e0; }
.band { fill: #f6f8fa; }
.time { fill: #0969da; }
.traffic { fill: #d4a72c; }
.stored { fill: #cf222e; }
.range { stroke: #1f2328; stroke-width: 1.2; fill: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .muted { fill: #9198a1; }
  .page { fill: #0d1117; stroke: #3d444d; }
  .band { fill: #151b23; }
  .time { fill: #4493f8; }
  .traffic { fill: #bb8009; }
  .stored { fill: #f85149; }
  .range { stroke: #f0f6fc; }
}
"""


def write_image(path: Path, image: str) -> None:
    """Writes an image.

    Args:
        path: of the file.
        image: as text.

    Raises:
        OutputError: it can't be written; an earlier one stays as it was.
    """
    with written_aside(path) as aside:
        aside.write_text(image, "utf-8")


def page(title: str, drawn: Iterable[str], end: int, notes: Sequence[str]) -> str:
    """An image as text.

    Args:
        title: read to those who don't see it.
        drawn: its elements.
        end: where they end, in pixels from above.
        notes: paragraphs below them.
    """
    elements, y = [*drawn], end
    for line in [line for note in notes for line in textwrap.wrap(note, 150, break_on_hyphens=False)]:
        y += 16
        elements.append(text(MARGIN, y, line, "muted"))
    height = y + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{safe(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
            *elements,
            "</svg>\n",
        ]
    )


def band(y: int, height: int) -> str:
    """A row's background."""
    return f'<rect class="band" x="{MARGIN}" y="{y}" width="{WIDTH - 2 * MARGIN}" height="{height}"/>'


def bar(kind: str, x: float, y: float, width: float, height: int) -> str:
    """A bar of a kind's colour."""
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width:.1f}" height="{height}"/>'


def text(x: float, y: float, content: str, kind: str = "") -> str:
    """A line of text."""
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y}">{safe(content)}</text>'
