"""What plots have in common: scales with round ticks, and the elements of SVG.

Every plot is as wide as a phone. A page has as many beside each other as there is room for, so its text is as large
as that around it. Colours are the page's (``page.css``), in light and in dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from qnn_sd.report.markup import safe

WIDTH = 340


@dataclass(frozen=True)
class Limit:
    """A line that a figure is held to.

    Attributes:
        value: where it is.
        kind: CSS class of its colour: ``refused``, or ``difference`` where it is of the guidance difference.
    """

    value: float
    kind: str


@dataclass(frozen=True)
class Scale:
    """Values onto pixels.

    Attributes:
        low: value at ``start``.
        high: value at ``end``.
        start: pixel.
        end: pixel; below ``start`` on an axis that goes up.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value; what lies outside stays at the edge."""
        within = min(max(value, self.low), self.high)
        return self.start + (within - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from at most ``low`` to at least ``high``: steps of 1, 2 or 5 times a power of ten."""
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * each for each in (1, 2, 5, 10) if span / (power * each) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def number(value: float) -> str:
    """A tick or a figure: as few decimals as say something."""
    if value and abs(value) < 10 and value != round(value):
        return f"{value:.2g}"
    return f"{value:,.0f}"


def text(x: float, y: float, content: object, kind: str = "", anchor: str = "") -> str:
    """A line of text; ``anchor`` is ``middle`` or ``end``."""
    where = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{_class(kind)}{where}>{safe(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def bar(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> str:
    """A rectangle; its title is shown where a pointer rests on it."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" class="{kind}">'
        f"<title>{safe(title)}</title></rect>"
    )


def drawing(height: float, title: str, parts: Iterable[str]) -> str:
    """A plot; its title is what is read to those who don't see it."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{safe(title)}">\n{chr(10).join(parts)}\n</svg>'
    )


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
