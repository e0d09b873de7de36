"""Plots of horizontal bars: a name above each group of them, the figure at their end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qnn_sd.report.axes import WIDTH, Limit, Scale, bar, drawing, line, number, round_ticks, text
from qnn_sd.report.markup import shortened

_LEFT, _TOP = 4.0, 14.0
_NAME, _BAR, _GAP = 15.0, 12.0, 7.0
# Room for the figure behind the longest bar.
_FIGURE = 46.0
_AXIS = 34.0
_LONGEST_NAME = 44


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        value: its length.
        kind: CSS class of its colour.
        figure: at its end.
        inner: a part of it, drawn in another colour.
        ends: the lower and the upper figure of an estimate.
    """

    value: float
    kind: str
    figure: str
    inner: float = 0.0
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Group:
    """Bars with one name.

    Attributes:
        name: above them.
        bars: from above.
    """

    name: str
    bars: Sequence[Bar]


def bar_plot(title: str, groups: Sequence[Group], unit: str, limits: Sequence[Limit] = ()) -> str:
    """Bars from zero on, under limits.

    Args:
        title: read to those who don't see it.
        groups: from above.
        unit: what the axis counts, with its unit.
        limits: lines down through the bars.
    """
    longest = max([each.ends[1] if each.ends else each.value for group in groups for each in group.bars] or [1.0])
    ticks = round_ticks(0.0, max([longest, *(limit.value for limit in limits)]) or 1.0, 5)
    scale = Scale(0.0, ticks[-1], _LEFT, WIDTH - _FIGURE)
    top = _TOP if limits else 2.0
    bottom = top + sum(_NAME + _BAR * len(group.bars) + _GAP for group in groups)
    parts: list[str] = []
    for tick in ticks:
        parts.append(line(scale.at(tick), top, scale.at(tick), bottom, "grid"))
        parts.append(text(scale.at(tick), bottom + 14, number(tick), "tick", "middle" if tick else ""))
    parts.append(text(scale.at(ticks[-1]), bottom + 29, unit, "unit", "end"))
    y = top
    for group in groups:
        parts += _group(group, y, scale)
        y += _NAME + _BAR * len(group.bars) + _GAP
    for limit in limits:
        x = scale.at(limit.value)
        parts.append(line(x, top, x, bottom, f"limit {limit.kind}"))
        parts.append(text(x, top - 3, number(limit.value), f"limit-label {limit.kind}", "middle"))
    return drawing(bottom + _AXIS, title, parts)


def _group(group: Group, y: float, scale: Scale) -> Iterator[str]:
    yield text(_LEFT, y + 11, shortened(group.name, _LONGEST_NAME), "name")
    for place, each in enumerate(group.bars):
        above = y + _NAME + place * _BAR
        end = scale.at(each.value)
        told = f"{group.name}: {each.figure}"
        yield bar(_LEFT, above, end - _LEFT, _BAR - 3, each.kind, told)
        if each.inner:
            yield bar(_LEFT, above, scale.at(each.inner) - _LEFT, _BAR - 3, "inner", told)
        if each.ends:
            middle = above + (_BAR - 3) / 2
            yield line(scale.at(each.ends[0]), middle, scale.at(each.ends[1]), middle, "range")
            end = max(end, scale.at(each.ends[1]))
        yield text(end + 4, above + _BAR - 3.5, each.figure, "figure")
