"""What ``qnn-sd verify --hub`` shows people."""

from __future__ import annotations

from qnn_sd.cli.documents.verify_hub import ComparedComponent, DeviceVerification
from qnn_sd.cli.verify_hub_comparison import nearest_figures
from qnn_sd.console import Console
from qnn_sd.verification import SQNR_FIGURES, SqnrSummary

STAND_IN = "stand-in, not a device: the emulator on this machine, through AI Hub's protocol"
_COLUMNS = (
    *("component", "silicon/emulator, dB", "silicon/QDQ, dB", "silicon/float, dB", "QDQ/float, dB"),
    *("ms", "job"),
)


def title(verified: DeviceVerification) -> str:
    """The device in one line."""
    marked = f" ({STAND_IN})" if verified.stand_in else ""
    return f"{verified.device}, system {verified.os}{marked}: binaries for {verified.soc}, HTP v{verified.htp_arch}"


def show_device(console: Console, verified: DeviceVerification) -> None:
    """Prints what was measured of a device, and where it parts from its emulator."""
    console.result(title(verified))
    if verified.components:
        console.table(_COLUMNS, [row(name, each) for name, each in verified.components.items()])
        console.result(SQNR_FIGURES)
    for line in where_it_parts(verified):
        console.result(line)


def row(name: str, compared: ComparedComponent) -> list[object]:
    """A component's row: figures, time and job."""
    return [
        name,
        _text(compared.against_emulator),
        compared.against_qdq.text,
        compared.against_float.text,
        compared.qdq_against_float.text,
        f"{compared.job.median_ms:.2f}",
        compared.job.id,
    ]


def _text(figures: SqnrSummary | None) -> str:
    return "not asked" if figures is None else figures.text


def where_it_parts(verified: DeviceVerification) -> list[str]:
    """The first component that parts, the first call of it, and what that may come from; in lines."""
    reference = "the emulator"
    if any(each.against_emulator is None for each in verified.components.values()):
        reference = "the QDQ graphs (the emulator wasn't asked)"
    if verified.parts_in is None:
        return [f"no component parts from {reference}"] if verified.components and verified.error is None else []
    compared = verified.components[verified.parts_in]
    lines = [f"parts from {reference} in: {verified.parts_in}, {nearest_figures(compared).text} dB"]
    if (call := compared.parts_at) is not None:
        lines.append(f"first in the call: {call.label}, {call.sqnr.text} dB")
    if (strength := compared.difference_gain) is not None:
        lines.append(f"strength of the guidance difference: {strength.gain:.3f} of what it should be")
    return [*lines, *(f"may come from: {cause}" for cause in verified.causes)]
