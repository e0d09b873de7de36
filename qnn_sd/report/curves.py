"""Plots with an axis that goes up: figures by sampling step, and histograms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qnn_sd.report.axes import WIDTH, Limit, Scale, bar, drawing, line, number, round_ticks, text
from qnn_sd.report.markup import safe

_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 30.0, WIDTH - 20.0, 20.0, 176.0, 210.0


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Attributes:
        points: x and y of each, from the left.
        kind: CSS class of its colour.
        title: shown where a pointer rests on it.
    """

    points: Sequence[tuple[float, float]]
    kind: str
    title: str


def curve_plot(title: str, curves: Sequence[Curve], units: tuple[str, str], limits: Sequence[Limit] = ()) -> str:
    """Lines over a shared axis.

    Args:
        title: read to those who don't see it.
        curves: what is drawn last lies above.
        units: what x and y count, with the unit.
        limits: lines across.
    """
    xs = sorted({x for curve in curves for x, _ in curve.points})
    ys = [y for curve in curves for _, y in curve.points]
    rising = round_ticks(
        min([*ys, *(limit.value for limit in limits), 0.0]), max([*ys, *(each.value for each in limits)])
    )
    up = Scale(rising[0], rising[-1], _BOTTOM, _TOP)
    along = Scale(xs[0], xs[-1], _LEFT + 12, _RIGHT - 12)
    parts = [*_rising(rising, up, units[1])]
    for x in xs:
        parts.append(line(along.at(x), _BOTTOM, along.at(x), _BOTTOM + 4, "axis"))
        parts.append(text(along.at(x), _BOTTOM + 16, number(x), "tick", "middle"))
    parts.append(text(_RIGHT, _BOTTOM + 30, units[0], "unit", "end"))
    for limit in limits:
        y = up.at(limit.value)
        parts.append(line(_LEFT, y, _RIGHT, y, f"limit {limit.kind}"))
        parts.append(text(_RIGHT + 4, y + 4, number(limit.value), f"limit-label {limit.kind}"))
    for curve in curves:
        places = [(along.at(x), up.at(y)) for x, y in curve.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in places)
        parts.append(
            f'<g class="curve {curve.kind}"><title>{safe(curve.title)}</title><polyline points="{path}"/>{dots}</g>'
        )
    return drawing(_HEIGHT, title, parts)


def histogram(title: str, values: Sequence[float], unit: str, counted: str, kind: str) -> str:
    """How many values lie where.

    Args:
        title: read to those who don't see it.
        values: at least one.
        unit: what the values are, with their unit.
        counted: what is counted.
        kind: CSS class of the bars.
    """
    edges = round_ticks(min(*values, 0.0), max(values), 12) if len(values) > 1 else [values[0] - 1, values[0] + 1]
    counts = [0] * (len(edges) - 1)
    for value in values:
        place = next(number for number, edge in enumerate(edges[1:]) if value <= edge or edge == edges[-1])
        counts[place] += 1
    rising = round_ticks(0.0, max(counts), 5)
    up, along = Scale(0.0, rising[-1], _BOTTOM, _TOP), Scale(edges[0], edges[-1], _LEFT + 4, _RIGHT)
    parts = [*_rising(rising, up, counted)]
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            told = f"{number(low)} to {number(high)}: {count}"
            x = along.at(low) + 1
            parts.append(bar(x, up.at(count), along.at(high) - x - 1, _BOTTOM - up.at(count), kind, told))
    for edge in edges[:: 2 if len(edges) > 8 else 1]:
        parts.append(text(along.at(edge), _BOTTOM + 16, number(edge), "tick", "middle"))
    parts.append(text(_RIGHT, _BOTTOM + 30, unit, "unit", "end"))
    return drawing(_HEIGHT, title, parts)


def _rising(ticks: Sequence[float], up: Scale, unit: str) -> Iterator[str]:
    for tick in ticks:
        yield line(_LEFT, up.at(tick), _RIGHT, up.at(tick), "grid")
        yield text(_LEFT - 5, up.at(tick) + 4, number(tick), "tick", "end")
    yield text(4, 11, unit, "unit")
