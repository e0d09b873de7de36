"""The image of ``qnn-sd cost --plot``: a pair of bars for each block, time and traffic side by side, as SVG."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from qnn_sd.cli.cost_measure import Costs
from qnn_sd.cli.cost_report import FAR_FROM_SILICON, Line, figure
from qnn_sd.output_files import written_aside
from qnn_sd.report.markup import safe, shortened

_WIDTH, _MARGIN, _ROW, _BAR = 960, 16, 20, 12
# Where the names end and the two panels begin; a panel ends in room for its figures.
_TIME, _TRAFFIC = 250, 620
_LONGEST_BAR = 230
_LONGEST_NAME = 36
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


def write_plot(path: Path, costs: Sequence[Costs], by: str) -> None:
    """Writes the image: blocks from the graph's input to its output.

    Args:
        path: of the file.
        costs: of each graph, with parts.
        by: ``level`` or ``block``.

    Raises:
        OutputError: it can't be written; an earlier one stays as it was.
    """
    with written_aside(path) as aside:
        aside.write_text(svg(costs, by), "utf-8")


def svg(costs: Sequence[Costs], by: str) -> str:
    """The image as text."""
    drawn: list[str] = []
    y = _MARGIN
    for each in costs:
        drawn += _section(each, by, y)
        y += _height(each)
    notes = [FAR_FROM_SILICON, *_notes(costs, by)]
    lines = [line for note in notes for line in textwrap.wrap(note, 150, break_on_hyphens=False)]
    for line in lines:
        y += 16
        drawn.append(_text(_MARGIN, y, line, "muted"))
    height = y + _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{safe(f'Estimated time and memory traffic by {by}')}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="page" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>',
            *drawn,
            "</svg>\n",
        ]
    )


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
    yield _text(_MARGIN, top + 14, f"{costs.subject.name} on {scaling.soc.soc}{source}{_whole(costs)}", "title")
    yield _text(_MARGIN, top + 40, by, "muted")
    yield _text(_TIME, top + 40, "estimate, ms; line: lower to upper", "muted")
    yield _text(_TRAFFIC, top + 40, "read and written, MB; red: spilled and filled", "muted")
    for number, (name, line) in enumerate(lines.items()):
        y = top + 48 + number * _ROW
        if number % 2 == 0:
            yield f'<rect class="band" x="{_MARGIN}" y="{y}" width="{_WIDTH - 2 * _MARGIN}" height="{_ROW}"/>'
        yield from _pair(name, line, y, _LONGEST_BAR / (slowest or 1), _LONGEST_BAR / (busiest or 1))


def _whole(costs: Costs) -> str:
    if costs.whole is None:
        return ""
    line = Line.of(costs.whole)
    ms, lower, upper = map(figure, line.times)
    return f": estimate {ms} ms ({lower} to {upper}), {figure((line.read + line.written) / 1e6)} MB in one call"


def _pair(name: str, line: Line, y: int, per_ms: float, per_byte: float) -> Iterator[str]:
    """A block's name and its two bars, each with its figure."""
    base, middle, bar = y + 14, y + _ROW / 2, y + (_ROW - _BAR) / 2
    ms, lower, upper = line.times
    moved, stored = line.read + line.written, line.spilled + line.filled
    yield f"<g><title>{safe(name)}</title>{_text(_MARGIN + 4, base, shortened(name, _LONGEST_NAME))}</g>"
    yield _bar("time", _TIME, bar, ms * per_ms)
    left, right = _TIME + lower * per_ms, _TIME + upper * per_ms
    ends = " ".join(f"M{x:.1f} {middle - 3}v6" for x in (left, right))
    yield f'<path class="range" d="M{left:.1f} {middle}H{right:.1f} {ends}"/>'
    yield _text(_TIME + max(ms, upper) * per_ms + 6, base, figure(ms))
    yield _bar("traffic", _TRAFFIC, bar, moved * per_byte)
    if stored:
        yield _bar("stored", _TRAFFIC, bar, stored * per_byte)
    yield _text(_TRAFFIC + moved * per_byte + 6, base, figure(moved / 1e6))


def _bar(kind: str, x: float, y: float, width: float) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width:.1f}" height="{_BAR}"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y}">{safe(text)}</text>'
