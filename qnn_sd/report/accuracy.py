"""The page's accuracy: SQNR by component and by sampling step, under the limits of the gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qnn_sd.report.axes import Limit
from qnn_sd.report.bars import Bar, Group, bar_plot
from qnn_sd.report.curves import Curve, curve_plot
from qnn_sd.report.markup import card, cards, paragraph, table
from qnn_sd.verification import QDQ_AGAINST_FLOAT, SQNR_FIGURES, Gate, SqnrSummary, binary_gate

_TITLES = {
    "qdq_against_float": "QDQ graph against float model",
    "binary_against_qdq": "Context binary against QDQ graph",
}
_BY = {
    "qdq_against_float": "Both run on the CPU.",
    "binary_against_qdq": "The binary runs on the HTP emulator, the QDQ graph on the CPU.",
}
_LEGEND = [("all", "all inputs"), ("worst", "worst input"), ("difference", "worst guidance difference")]
_HOW_TO_READ = """<div class="card read"><strong>How to read it</strong>
<p>SQNR is signal power divided by error power. 20 dB is an error of a tenth, 40 dB of a hundredth, 60 dB of a
thousandth.</p>
<p>Each component is held to two gates: its QDQ graph against the float model, and its context binary against the QDQ
graph. A component below a limit is refused.</p>
<p>The guidance difference is that of the two guidance passes. It is all that the prompt does to the image, and it is
small: an error in it can hide in each pass alone.</p></div>"""


def parts(report: Mapping[str, Any]) -> Iterator[str]:
    """Of a ``ReportDocument`` as JSON."""
    components = report["verification"]["components"]
    if not components:
        yield paragraph("Nothing was compared before the build was refused.")
        return
    calls = report["calls"]
    shown: list[str] = []
    for field in _TITLES:
        if any(each[field] for each in components.values()):
            shown.append(_of_components(field, components, gate_of(field, report)))
            by_step = [name for name in calls if any(each["step"] is not None for each in calls[name][field])]
            shown += [_by_step(name, field, calls[name][field], report) for name in by_step]
        if field == "qdq_against_float":
            shown += [_by_setting(name, each["settings"]) for name, each in components.items() if each["settings"]]
    yield cards([*shown, _HOW_TO_READ])
    yield table(
        ["component", "binary / QDQ, dB", "worst input", "QDQ / float, dB", "worst input"],
        [_row(name, each) for name, each in components.items()],
        f"{SQNR_FIGURES}; dB",
        (1, 3),
    )


def gate_of(field: str, report: Mapping[str, Any]) -> Gate:
    """What a comparison is held to, ``qdq_against_float`` or ``binary_against_qdq``."""
    return QDQ_AGAINST_FLOAT if field == "qdq_against_float" else binary_gate(report["soc"]["htp_arch"])


def _by_setting(name: str, settings: Sequence[Mapping[str, Any]]) -> str:
    groups = []
    for each in settings:
        negative = ", negative prompt" if each["setting"]["negative"] else ""
        groups.append(Group(f"guidance {each['setting']['guidance']:g}{negative}", _bars(each["sqnr"])))
    title = f"{_TITLES['qdq_against_float']}: {name} by setting"
    note = "The gates hold at the model's default guidance. At the other settings qnn-sd run warns by these figures."
    return card(title, bar_plot(f"SQNR: {title}", groups, "SQNR, dB"), _LEGEND, note)


def _bars(sqnr: Mapping[str, Any]) -> list[Bar]:
    figures = {"all": sqnr["all_db"], "worst": sqnr["worst_db"], "difference": sqnr["difference_db"]}
    return [Bar(db, kind, f"{db:.1f}") for kind, db in figures.items() if db is not None]


def _limits(gate: Gate, difference: bool) -> list[Limit]:
    found = [Limit(gate.least_db, "refused")]
    return [*found, Limit(gate.least_difference_db, "difference")] if difference else found


def _limits_told(gate: Gate, difference: bool) -> list[tuple[str, str]]:
    found = [("limit", f"refused below {gate.least_db:.0f} dB")]
    if difference:
        found.append(("limit difference", f"refused below {gate.least_difference_db:.0f} dB, of the difference"))
    return found


def _of_components(field: str, components: Mapping[str, Any], gate: Gate) -> str:
    groups = []
    for name, each in components.items():
        sqnr = each[field]
        if not sqnr:
            groups.append(Group(f"{name}: not reached", []))
            continue
        groups.append(Group(name, _bars(sqnr)))
    difference = any(each[field] and each[field]["difference_db"] is not None for each in components.values())
    legend = _LEGEND if difference else _LEGEND[:2]
    legend = [*legend, *_limits_told(gate, difference)]
    title = f"{_TITLES[field]}, by component"
    return card(title, bar_plot(f"SQNR: {title}", groups, "SQNR, dB", _limits(gate, difference)), legend, _BY[field])


def _by_step(name: str, field: str, calls: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> str:
    guidance = report["verification"]["model"]["guidance"]
    steps = [each for each in calls if each["step"] is not None]
    curves: list[Curve] = []
    for trajectory in sorted({each["trajectory"] for each in steps}):
        of_it = [each for each in steps if each["trajectory"] == trajectory]
        setting = of_it[0]["setting"]
        at_default = setting is None or setting["guidance"] == guidance
        label = of_it[0]["label"].partition(", step")[0]
        figures = [("worst_db", "worst" if at_default else "elsewhere")]
        figures += [("difference_db", "difference")] if at_default else []
        for figure, kind in figures:
            points = [(each["step"], each["sqnr"][figure]) for each in of_it if each["sqnr"][figure] is not None]
            if points:
                curves.append(Curve(points, kind, label))
    curves.sort(key=lambda curve: curve.kind != "elsewhere")
    legend = [("worst", f"worse guidance pass, guidance {guidance:g}"), ("difference", "difference of the passes")]
    legend = [each for each in legend if any(curve.kind == each[0] for curve in curves)]
    if any(curve.kind == "elsewhere" for curve in curves):
        legend.append(("elsewhere", "worse pass at other guidance scales, where no gate holds"))
    title = f"{_TITLES[field]}: {name} by sampling step"
    has_difference = any(curve.kind == "difference" for curve in curves)
    gate = gate_of(field, report)
    legend += _limits_told(gate, has_difference)
    drawn = curve_plot(f"SQNR of {title}", curves, ("sampling step", "SQNR, dB"), _limits(gate, has_difference))
    return card(title, drawn, legend, "A line for each prompt.")


def _row(name: str, each: Mapping[str, Any]) -> list[str]:
    cells = [name]
    for field in ("binary_against_qdq", "qdq_against_float"):
        sqnr = each[field]
        cells += ["-", "not reached"] if not sqnr else [SqnrSummary.model_validate(sqnr).text, sqnr["worst_input"]]
    return cells
