"""The image of ``qnn-sd profile --plot``: what each component takes on each device, beside what was expected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qnn_sd.cli.documents import HubProfileDocument
from qnn_sd.cli.documents.hub_profile import HubProfiledComponent, HubProfiledDevice
from qnn_sd.cli.profile_report import in_seconds
from qnn_sd.cli.svg_image import MARGIN, bar, page, text, write_image

_ROW, _BAR = 18, 11
_NAMES, _BARS, _LONGEST_BAR = 150, 250, 560
_NOTE = (
    "Milliseconds a call: the median on the device; our estimate and the vendor's published figure, if there are any."
)
# The bars of a component, with their colours.
_KINDS = (("median", "time"), ("estimate", "traffic"), ("published", "stored"))


def write_plot(path: Path, document: HubProfileDocument) -> None:
    """Writes the image.

    Args:
        path: of the file.
        document: what was measured.

    Raises:
        OutputError: it can't be written; an earlier one stays as it was.
    """
    write_image(path, svg(document))


def svg(document: HubProfileDocument) -> str:
    """The image as text; every device has the same scale."""
    longest = max(
        (ms for device in document.devices for each in device.components for _, ms, _ in _bars(each)), default=1.0
    )
    longest = longest if longest > 0 else 1.0  # an older document may have nothing but zeros
    drawn: list[str] = []
    y = MARGIN
    for device in document.devices:
        for element, height in _device(device, y, _LONGEST_BAR / longest):
            drawn.append(element)
            y = max(y, height)
        y += 12
    notes = [document.note or "", _NOTE]
    return page("Times on devices of Qualcomm AI Hub", drawn, y, [each for each in notes if each])


def _bars(each: HubProfiledComponent) -> list[tuple[str, float, str]]:
    """Name, milliseconds and colour of a component's bars."""
    values = (None if each.measured is None else each.measured.median_ms, each.estimate_ms, each.published_ms)
    return [(name, ms, kind) for (name, kind), ms in zip(_KINDS, values, strict=True) if ms is not None]


def _device(device: HubProfiledDevice, top: int, per_ms: float) -> Iterator[tuple[str, int]]:
    """Elements, each with where it ends."""
    whole = "" if device.image_seconds is None else f": an image {in_seconds(device.image_seconds)}, computed"
    y = top + 14
    yield text(MARGIN, y, f"{device.name}, {device.title}{whole}", "title"), y
    y += 10
    for each in device.components:
        for number, (name, ms, kind) in enumerate(_bars(each)):
            base = y + 13
            if number == 0:
                yield text(MARGIN + 4, base, each.component), base
            yield text(_NAMES, base, name, "muted"), base
            yield bar(kind, _BARS, y + (_ROW - _BAR) / 2, ms * per_ms, _BAR), base
            yield text(_BARS + ms * per_ms + 6, base, f"{ms:,.1f}"), base
            y += _ROW
