"""The image of ``qnn-sd cost --plot``: a pair of bars for each block, time and traffic side by side, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from qnn_sd.cli.cost_measure import Costs
from qnn_sd.cli.cost_report import FAR_FROM_SILICON, Line, figure
from qnn_sd.cli.svg_image import MARGIN, band, bar, page, text, write_image
from qnn_sd.report.markup import safe, shortened

_ROW, _BAR = 20, 12
# Where the names end and the two panels begin; a panel ends in room for its figures.
_TIME, _TRAFFIC = 250, 620
_LONGEST_BAR = 230
_LONGEST_NAME = 36


def write_plot(path: Path, costs: Sequence[Costs], by: str) -> None:
    """Writes the image: blocks from the graph's input to its output.

    Args:
        path: of the file.
        costs: of each graph, with parts.
        by: ``level`` or ``block``.

    Raises:
        OutputError: it can't be written; an earlier one stays as it was.
    """
    write_image(path, svg(costs, by))


def svg(costs: Sequence[Costs], by: str) -> str:
    """The image as text."""
    drawn: list[str] = []
    y = MARGIN
    for each in costs:
        drawn += _section(each, by, y)
        y += _height(each)
    return page(f"Estimated time and memory traffic by {by}", drawn, y, [FAR_FROM_SILICON, *_notes(costs, by)])


def _height(costs: Costs) -> int:
    return 52 + _ROW * len(costs.parts) + 18


def _notes(costs: Sequence[Costs], by: str) -> Iterator[str]:
    own = "; each graph has its own scales" * (len(costs) > 1)
    yield f"Each {by} is compiled alone, and moves its own ends through memory{own}."
    if (scaling := costs[0].scaling).scales:
        yield f"Only times are scaled: traffic is of the build for {scaling.compiled_for.soc}."


def _section(costs: Costs, by: str, top: int) -> Iterator[str]:
    lines = {name: Line.of(each) for name, each in costs.parts.items()}
    slowest = max(line.times[2] for line in lines.values())
    busiest = max(line.read + line.written for line in lines.values())
    scaling = costs.scaling
    source = f", scaled from {scaling.compiled_for.soc}" if scaling.scales else ""
    yield text(MARGIN, top + 14, f"{costs.subject.name} on {scaling.soc.soc}{source}{_whole(costs)}", "title")
    yield text(MARGIN, top + 40, by, "muted")
    yield text(_TIME, top + 40, "estimate, ms; line: lower to upper", "muted")
    yield text(_TRAFFIC, top + 40, "read and written, MB; red: spilled and filled", "muted")
    for number, (name, line) in enumerate(lines.items()):
        y = top + 48 + number * _ROW
        if number % 2 == 0:
            yield band(y, _ROW)
        yield from _pair(name, line, y, _LONGEST_BAR / (slowest or 1), _LONGEST_BAR / (busiest or 1))


def _whole(costs: Costs) -> str:
    if costs.whole is None:
        return ""
    line = Line.of(costs.whole)
    ms, lower, upper = map(figure, line.times)
    return f": estimate {ms} ms ({lower} to {upper}), {figure((line.read + line.written) / 1e6)} MB in one call"


def _pair(name: str, line: Line, y: int, per_ms: float, per_byte: float) -> Iterator[str]:
    """A block's name and its two bars, each with its figure."""
    base, middle, top = y + 14, y + _ROW / 2, y + (_ROW - _BAR) / 2
    ms, lower, upper = line.times
    moved, stored = line.read + line.written, line.spilled + line.filled
    yield f"<g><title>{safe(name)}</title>{text(MARGIN + 4, base, shortened(name, _LONGEST_NAME))}</g>"
    yield bar("time", _TIME, top, ms * per_ms, _BAR)
    left, right = _TIME + lower * per_ms, _TIME + upper * per_ms
    ends = " ".join(f"M{x:.1f} {middle - 3}v6" for x in (left, right))
    yield f'<path class="range" d="M{left:.1f} {middle}H{right:.1f} {ends}"/>'
    yield text(_TIME + max(ms, upper) * per_ms + 6, base, figure(ms))
    yield bar("traffic", _TRAFFIC, top, moved * per_byte, _BAR)
    if stored:
        yield bar("stored", _TRAFFIC, top, stored * per_byte, _BAR)
    yield text(_TRAFFIC + moved * per_byte + 6, base, figure(moved / 1e6))
