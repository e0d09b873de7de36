"""The page's build: what was rounded how, what it costs, how large it is, how long its stages took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from qnn_sd.in_words import gigabytes
from qnn_sd.report.axes import number
from qnn_sd.report.bars import Bar, Group, bar_plot
from qnn_sd.report.curves import histogram
from qnn_sd.report.markup import card, cards, paragraph, safe, table

_FORMS = (
    ("float_bytes", "float", "float graph"),
    ("qdq_bytes", "qdq", "QDQ graph"),
    ("binary_bytes", "htp", "context binary"),
)


def megabytes(count: float) -> str:
    """Bytes in MB, or in GB."""
    return f"{count / 1e6:.1f} MB" if count < 0.95e9 else f"{count / 1e9:.2f} GB"


def quantization(report: Mapping[str, Any]) -> Iterator[str]:
    """What was rounded how."""
    rounding = report["rounding"]
    if not rounding:
        yield paragraph("No component was quantized before the build was refused.")
        return
    yield cards(
        card(
            f"{name}: gain of AdaRound by layer",
            histogram(
                f"How many layers of {name} gained how much by AdaRound",
                [layer["gain_db"] for layer in each["layers"]],
                "gain over nearest, dB",
                "layers",
                "worst",
            ),
            note=_gains(each),
        )
        for name, each in rounding.items()
        if each["layers"]
    )
    if narrowed := sum(each.get("narrowed_operands", 0) for each in report["graphs"].values()):
        yield paragraph(
            f"In the binaries {narrowed} keys and values of attention have 8 bits and in the QDQ graphs 16: the HTP "
            f"v{report['soc']['htp_arch']} takes no others, and its gate is lower for it.",
            "note",
        )
    yield table(
        [
            "component",
            "scheme",
            "encodings of activations",
            "of weights",
            "AdaRound",
            "nearest",
            "exact",
            "int8 operands",
            "int16 operands",
        ],
        [[name, *_counts(each)] for name, each in rounding.items()],
        "How each component was quantized: layers by their rounding, keys and values of attention by their bits",
        range(2, 9),
    )
    yield paragraph(
        "A layer is exact where rounding to nearest changes nothing, such as that of a mean. Gains are of a layer's "
        "output on held-out data.",
        "note",
    )


def _counts(each: Mapping[str, Any]) -> list[str]:
    kept = [layer["kept"] for layer in each["layers"]]
    by_layer: list[object] = [kept.count("adaround"), kept.count("nearest"), each["exact_layers"]]
    if each["exact_layers"] is None:  # nobody rounded it layer by layer
        by_layer = [None] * 3
    figures = [each["activations"], each["parameters"], *by_layer, each["int8_operands"], each["int16_operands"]]
    return [each["scheme"], *("-" if figure is None else f"{figure:,}" for figure in figures)]


def _gains(each: Mapping[str, Any]) -> str:
    gains = sorted(each["layers"], key=lambda layer: layer["gain_db"])
    least, most, middle = gains[0], gains[-1], median(layer["gain_db"] for layer in gains)
    return (
        f"Median {middle:.1f} dB. Least {least['gain_db']:.1f} dB ({least['layer']}), most {most['gain_db']:.1f} dB "
        f"({most['layer']})."
    )


def cost(report: Mapping[str, Any]) -> Iterator[str]:
    """Time and traffic by block, if they were measured."""
    found = report["cost"]
    if report["verification"]["verdict"] == "refused":
        yield paragraph("Left out: the build was refused.")
        return
    if found is None:
        line = report["commands"][0]["line"]
        yield paragraph(
            "Left out: each block would be compiled alone, which takes a minute or two with the demo model and much "
            "longer with a large one. To add it:"
        )
        yield f'<pre class="scroll" tabindex="0"><code>{safe(f"{line} --cost")}</code></pre>'
        return
    yield paragraph(safe(_whose(found, report["soc"]["name"])), "note")
    # A row for each component: its time, and beside it its traffic.
    yield from (cards(_of_blocks(name, each, found["by"])) for name, each in found["components"].items())
    yield table(
        ["component", "estimate, ms", "lower", "upper", "read and written, MB", "spilled and filled, MB", "GMAC"],
        [_whole(name, each["whole"]) for name, each in found["components"].items() if each["whole"]],
        "One call of each component, compiled whole",
        range(1, 7),
    )


def _whose(found: Mapping[str, Any], soc: str) -> str:
    told = [found["about_estimates"]]
    if found["soc"] != soc:
        told.append(f"Nothing is known to scale an estimate to {soc} by: these are of {found['soc']}.")
    elif found["scaled"]:
        told.append(
            f"Times are those of {found['compiled_for']}, scaled to {soc} by published times; traffic isn't scaled."
        )
    told.append(
        f"Each {found['by']} is compiled alone, and moves its own ends through memory: the sum is more than the whole."
    )
    return " ".join(told)


def _of_blocks(name: str, each: Mapping[str, Any], by: str) -> Iterator[str]:
    times, traffic = [], []
    for part, its in each["parts"].items():
        ms, moved = its["estimate"], its["traffic"]
        total = (moved["read_bytes"] + moved["written_bytes"]) / 1e6
        stored = (moved["spilled_bytes"] + moved["filled_bytes"]) / 1e6
        times.append(Group(part, [Bar(ms["ms"], "worst", _figure(ms["ms"]), ends=(ms["lower_ms"], ms["upper_ms"]))]))
        traffic.append(Group(part, [Bar(total, "moved", _figure(total), inner=stored)]))
    if not times:
        return
    yield card(
        f"{name}: estimated time by {by}",
        bar_plot(f"Estimated time of each {by} of {name}", times, "ms"),
        [("worst", "estimate"), ("range", "lower to upper")],
    )
    yield card(
        f"{name}: memory traffic by {by}",
        bar_plot(f"Memory traffic of each {by} of {name}", traffic, "MB read and written in one call"),
        [("moved", "read and written"), ("inner", "of it spilled and filled")],
    )


def _figure(value: float) -> str:
    return number(value) if value >= 10 or not value else f"{value:.2g}"


def _whole(name: str, whole: Mapping[str, Any]) -> list[str]:
    ms, moved = whole["estimate"], whole["traffic"]
    return [
        name,
        *(f"{ms[field]:.3f}" for field in ("ms", "lower_ms", "upper_ms")),
        f"{(moved['read_bytes'] + moved['written_bytes']) / 1e6:.1f}",
        f"{(moved['spilled_bytes'] + moved['filled_bytes']) / 1e6:.1f}",
        f"{whole['macs'] / 1e9:.2f}",
    ]


def sizes_and_stages(report: Mapping[str, Any]) -> Iterator[str]:
    """How large each form is, and how long each stage took."""
    stages = report["verification"]["stages"]
    yield cards([*_sizes(report["graphs"]), *_minutes(stages)])
    yield table(
        ["stage", "component", "of", "seconds", "memory", "from the cache"],
        [
            [
                each["stage"],
                each["component"] or "all",
                each["subject"] or "",
                f"{each['seconds']:,.1f}",
                "-" if each["expected_memory_bytes"] is None else gigabytes(each["expected_memory_bytes"]),
                "yes" if each["cached"] else "",
            ]
            for each in stages
        ],
        "Stages: the time that each took when it was made, and the memory that it is expected to hold",
        (3, 4),
    )


def _sizes(graphs: Mapping[str, Any]) -> Iterator[str]:
    groups = []
    for name, each in graphs.items():
        made = [(each[field], kind) for field, kind, _ in _FORMS if each[field] is not None]
        groups.append(Group(name, [Bar(count / 1e6, kind, f"{count / 1e6:,.1f}") for count, kind in made]))
    if groups:
        legend = [(kind, text) for _, kind, text in _FORMS]
        yield card("Sizes by component", bar_plot("Sizes of graphs and binaries by component", groups, "MB"), legend)


def _minutes(stages: list[Mapping[str, Any]]) -> Iterator[str]:
    seconds: dict[str, float] = {}
    for each in stages:
        seconds[each["stage"]] = seconds.get(each["stage"], 0.0) + each["seconds"]
    if not seconds:
        return
    in_minutes = max(seconds.values()) > 300
    scale, unit = (60.0, "minutes") if in_minutes else (1.0, "seconds")
    groups = [Group(name, [Bar(took / scale, "worst", f"{took / scale:,.1f}")]) for name, took in seconds.items()]
    yield card(
        "Time by stage",
        bar_plot(f"{unit.capitalize()} that each stage took", groups, unit),
        note="The times of all components together.",
    )
