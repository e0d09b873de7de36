"""What is refused, and what is warned of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qnn_sd.config import takes_int16_operands
from qnn_sd.errors import VerificationError
from qnn_sd.metrics import MIN_SQNR_DB
from qnn_sd.verification.figures import SQNR_FIGURES, SettingSqnr, SqnrSummary


@dataclass(frozen=True)
class Gate:
    """What is refused.

    Attributes:
        name: of the comparison.
        least_db: refused below it, over all inputs and of the worst one.
        least_difference_db: refused below it, of the worst guidance difference: 20 dB is off by a tenth, 10 by a third.
        warn_db: warned of below it; 0 for never.
        warn_difference_db: the same of the worst guidance difference.
        suspect: whose fault a refusal is, unless somebody knows better.
        hint: what to do about it.
    """

    name: str
    least_db: float
    least_difference_db: float
    warn_db: float
    warn_difference_db: float
    suspect: str
    hint: str


BINARY_AGAINST_QDQ = Gate(
    "context binary against QDQ graph",
    MIN_SQNR_DB,
    20.0,
    0.0,
    0.0,
    "The HTP compiler computes something else than the graph says",
    "qnn-sd verify --bisect finds the op; docs/htp-forms.md has the forms that are known to go wrong; qnn-sd doctor "
    "tells whether your versions were tried.",
)
# Where keys and values have 8 bits in the binary and 16 in the QDQ graph. Of the demo's binaries for v68 and v69, which
# compute less exactly besides, the worst input reaches 39.0 dB (text encoder), 42.5 (UNet) and 51.5 (VAE).
BINARY_WITH_INT8_OPERANDS = replace(BINARY_AGAINST_QDQ, least_db=35.0)
QDQ_AGAINST_FLOAT = Gate(
    "QDQ graph against float model",
    30.0,
    10.0,
    40.0,
    20.0,
    "The ranges or the rounding don't fit this model",
    "Calibrate with prompts of your kind (--prompts FILE), and with --rounding adaround.",
)


def binary_gate(htp_arch: int) -> Gate:
    """What a context binary for an HTP is held to.

    Args:
        htp_arch: Hexagon architecture, such as 75 for v75.
    """
    return BINARY_AGAINST_QDQ if takes_int16_operands(htp_arch) else BINARY_WITH_INT8_OPERANDS


def require_gate(gate: Gate, component: str, found: SqnrSummary, suspect: str = "", hint: str = "") -> None:
    """Refuses a component that doesn't pass a gate. NaN passes none.

    Args:
        gate: what is asked.
        component: for the message.
        found: what was measured.
        suspect: whose fault it is, where more is known than the gate knows.
        hint: what to do then.

    Raises:
        VerificationError: it doesn't pass; the message names the gate, the worst input and the suspect.
    """
    asked: list[tuple[str, float | None, float, str]] = [
        ("over all inputs", found.all_db, gate.least_db, found.worst_input),
        ("for the worst input", found.worst_db, gate.least_db, found.worst_input),
        (
            "in the difference of the two guidance passes",
            found.difference_db,
            gate.least_difference_db,
            found.worst_difference,
        ),
    ]
    for what, reached, least, label in asked:
        if reached is not None and not reached >= least:
            raise VerificationError(
                f"{component} is refused: {gate.name}, {reached:.1f} dB SQNR {what}, where {least:.0f} dB is the least",
                why=f"{SQNR_FIGURES}: {found.text} dB. Worst: {label}. {suspect or gate.suspect}.",
                hint=hint or gate.hint,
            )


def gate_warning(gate: Gate, component: str, found: SqnrSummary) -> str | None:
    """A warning where a component passes a gate, but barely."""
    poor = _poor(gate, found)
    return f"{component}: {gate.name}, {poor} images may differ from the float model's" if poor else None


def _poor(gate: Gate, found: SqnrSummary) -> str:
    """Which figure is below the level of a warning, and below which; empty if none is."""
    if not found.worst_db >= gate.warn_db:
        return f"{found.worst_db:.1f} dB SQNR for the worst input ({found.worst_input}); below {gate.warn_db:.0f} dB"
    if found.difference_db is not None and not found.difference_db >= gate.warn_difference_db:
        text = f"{found.difference_db:.1f} dB SQNR in the difference of the two guidance passes"
        return f"{text} ({found.worst_difference}); below {gate.warn_difference_db:.0f} dB"
    return ""


def setting_warning(figures: Sequence[SettingSqnr], guidance: float, negative: bool) -> str | None:
    """A warning where a UNet isn't known to be near the float model at a guidance scale.

    Args:
        figures: at the settings that were calibrated.
        guidance: the scale that was asked for.
        negative: whether there is a negative prompt.
    """
    scales = sorted({each.setting.guidance for each in figures})
    if not scales:
        return None
    clamped = min(max(guidance, scales[0]), scales[-1])
    around = {max(s for s in scales if s <= clamped), min(s for s in scales if s >= clamped)}
    near = [each for each in figures if each.setting.guidance in around and (negative or not each.setting.negative)]
    # Poor ones first, whichever figure it is that is poor.
    worst = min(near, key=lambda each: (not _poor(QDQ_AGAINST_FLOAT, each.sqnr), each.sqnr.worst_db))
    at = f"at guidance {worst.setting.guidance:g}{' with a negative prompt' if worst.setting.negative else ''}"
    if not scales[0] <= guidance <= scales[-1]:
        known = f"{at}, the nearest, the UNet's QDQ graph is {worst.sqnr.worst_db:.1f} dB SQNR from the float model"
        return (
            f"guidance {guidance:g} lies outside what was calibrated ({scales[0]:g} to {scales[-1]:g}): nothing was "
            f"measured there; {known}. --target cpu --precision float shows what the model itself gives"
        )
    if poor := _poor(QDQ_AGAINST_FLOAT, worst.sqnr):
        return f"{at} the UNet's QDQ graph is near the float model by {poor} images may differ from its own"
    return None
