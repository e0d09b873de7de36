"""What ``qnn-sd profile`` tells people."""

from __future__ import annotations

from collections.abc import Sequence

from qnn_sd.cli.documents import HubProfileDocument
from qnn_sd.cli.documents.hub_profile import HubProfiledComponent, HubProfiledDevice
from qnn_sd.console import Console

_SLOWEST_SHOWN = 5
_MS_DIGITS = 3


def show(console: Console, document: HubProfileDocument) -> None:
    """Prints for each device its components, the slowest layers, the computed time of an image and the links."""
    if document.note:
        console.result(document.note)
    for device in document.devices:
        _show_device(console, device, document.stand_in)


def _show_device(console: Console, device: HubProfiledDevice, stand_in: bool) -> None:
    console.result(f"{device.name}, {device.title} ({device.soc}), system {device.os}{_qairt(device)}")
    if device.remark:
        console.result(device.remark)
    measured = [each for each in device.components if each.measured]
    columns, further = ["component", "median ms", "best ms", "load ms", "peak MB", "layers"], _further(measured)
    rows = [[*_row(each), *_cells(each, further)] for each in measured]
    if rows:
        console.table([*columns, *further], rows, lambda value: f"{value:,.2f}")
    if stand_in:
        console.result("the slowest layers: left out, since the stand-in makes their times by a rule")
    else:
        _show_slowest(console, measured)
    for name, text in _sources(measured):
        console.result(f"{name}: {text}")
    if device.image_seconds is not None:
        console.result(f"an image: {in_seconds(device.image_seconds)}. {device.image}")
    for each in device.components:
        state = "" if each.measured else f" ({each.state})"
        console.result(f"{each.component}: {each.url}{state}")


def in_seconds(seconds: float) -> str:
    """A computed time for people; the demo's is milliseconds."""
    return f"{seconds:,.2f} s" if seconds >= 1 else f"{seconds * 1000:,.0f} ms"


def _qairt(device: HubProfiledDevice) -> str:
    return f", QAIRT {device.qairt}" if device.qairt else ""


def _further(measured: Sequence[HubProfiledComponent]) -> list[str]:
    """Columns of figures that are not from the device, where there are any."""
    columns = [
        ("estimate ms", any(each.estimate_ms is not None for each in measured)),
        ("published ms", any(each.published_ms is not None for each in measured)),
    ]
    return [name for name, is_there in columns if is_there]


def _cells(each: HubProfiledComponent, columns: Sequence[str]) -> list[object]:
    values = {"estimate ms": each.estimate_ms, "published ms": each.published_ms}
    return ["-" if values[name] is None else values[name] for name in columns]


def _row(each: HubProfiledComponent) -> list[object]:
    found = each.measured
    assert found is not None
    load = found.first_load_ms if found.first_load_ms is not None else found.warm_load_ms
    return [
        each.component,
        found.median_ms,
        found.best_ms,
        _or_dash(None if load is None else round(load)),
        "-" if found.peak_memory_bytes is None else round(found.peak_memory_bytes / 1e6),
        ", ".join(f"{count:,} {unit}" for unit, count in found.layers.items()) or "-",
    ]


def _show_slowest(console: Console, measured: Sequence[HubProfiledComponent]) -> None:
    rows = [
        [each.component, op.name, op.type or "-", op.unit, _or_dash(op.ms), _or_dash(op.cycles)]
        for each in measured
        for op in (each.measured.slowest if each.measured else [])[:_SLOWEST_SHOWN]
        # A time that is shown as 0 ranks nothing.
        if op.cycles or round(op.ms or 0, _MS_DIGITS)
    ]
    if rows:
        console.result("the slowest layers")
        console.table(
            ["component", "layer", "op", "unit", "ms", "cycles"], rows, lambda value: f"{value:,.{_MS_DIGITS}f}"
        )


def _or_dash(figure: float | None) -> object:
    return "-" if figure is None else figure


def _sources(measured: Sequence[HubProfiledComponent]) -> list[tuple[str, str]]:
    """Whose the figures are that are not from the device, each said once."""
    found = [("published", each.published) for each in measured if each.published]
    found += [("estimate", each.estimate) for each in measured if each.estimate]
    return [(name, text) for name, text in dict.fromkeys(found) if text]
