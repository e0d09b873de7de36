"""What "verified" means: likeness on chosen inputs, held to gates.

Two gates: the context binary against its QDQ graph, and the QDQ graph against the float model. At each, the worst input
counts beside the sum of all, and so does the difference of the two guidance passes. That difference is all that the
prompt does to the image, and a small part of each pass, at which an error in it can hide: of the demo with its
conditioning a twentieth too weak each pass is over 30 dB, the difference under 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.config import GuidanceSetting, StrictModel
from qnn_sd.errors import VerificationError
from qnn_sd.metrics import MIN_SQNR_DB, sqnr_db
from qnn_sd.runner import Feeds

# One for each input; or all of them along a first axis.
Outputs = Sequence[NDArray[Any]] | NDArray[Any]

# What the figures of ``SqnrSummary.text`` are.
SQNR_FIGURES = "SQNR over all inputs / of the worst / of the worst guidance difference"


@dataclass(frozen=True)
class VerificationInput:
    """One call of a component.

    Attributes:
        label: what it is, for people.
        feeds: its inputs by name.
        pair: number of the sampling step whose two guidance passes belong together, the negative one first; None for
            a call that has no other.
        setting: of the trajectory that it is from; None where that changes nothing.
        trajectory: number of that trajectory, from 0; likewise.
    """

    label: str
    feeds: Feeds
    pair: int | None = None
    setting: GuidanceSetting | None = None
    trajectory: int | None = None


class SqnrSummary(StrictModel):
    """How near two graphs' outputs are; SQNR in dB, 200 at most.

    Attributes:
        all_db: over all inputs: powers and errors are summed, so that a nearly gray image, whose own power is near
            zero, weighs no more than what can be seen of it.
        worst_db: of the worst input.
        worst_input: its label.
        difference_db: of the worst difference of two guidance passes, or None where no input has two.
        worst_difference: the label of that pair's second pass, or "".
    """

    all_db: float
    worst_db: float
    worst_input: str
    difference_db: float | None = None
    worst_difference: str = ""

    @property
    def text(self) -> str:
        """All inputs, the worst one, the worst guidance difference, for a table: ``63.7 / 58.5 / 35.4``."""
        figures = [self.all_db, self.worst_db, *([] if self.difference_db is None else [self.difference_db])]
        return " / ".join(f"{figure:.1f}" for figure in figures)


class SettingSqnr(StrictModel):
    """SqnrSummary at one setting of the command line.

    Attributes:
        setting: which one.
        likeness: the UNet's QDQ graph against the float model.
    """

    setting: GuidanceSetting
    likeness: SqnrSummary

    @property
    def row(self) -> list[str]:
        """For a table: guidance, whether there is a negative prompt, the figures."""
        return [f"{self.setting.guidance:g}", "yes" if self.setting.negative else "no", self.likeness.text]


class ComponentVerification(StrictModel):
    """What was measured of a component.

    Attributes:
        qdq_against_float: its QDQ graph against the float model, at the model's own guidance.
        settings: of a UNet: the same at each setting that was calibrated.
        binary_against_qdq: its context binary on the emulator against the QDQ graph; None in a bundle for the CPU.
    """

    qdq_against_float: SqnrSummary
    settings: tuple[SettingSqnr, ...] = ()
    binary_against_qdq: SqnrSummary | None = None


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
    "See docs/decisions.md for the forms that it gets wrong; qnn-sd doctor tells whether your versions were tried.",
)
QDQ_AGAINST_FLOAT = Gate(
    "QDQ graph against float model",
    30.0,
    10.0,
    40.0,
    20.0,
    "The ranges or the rounding don't fit this model",
    "Calibrate with prompts of your kind (--prompts FILE), and with --rounding adaround.",
)


def likeness(inputs: Sequence[VerificationInput], expected: Outputs, found: Outputs) -> SqnrSummary:
    """Compares two graphs' outputs, one for each input.

    Raises:
        ValueError: shapes differ, there is no input or an output without one, or a guidance pass lacks its other.
    """
    if not inputs or not len(inputs) == len(expected) == len(found):
        raise ValueError(f"{len(inputs)} inputs, {len(expected)} and {len(found)} outputs")
    each = [sqnr_db(a, b) for a, b in zip(expected, found, strict=True)]
    # NaN loses no comparison by chance: it counts as the worst.
    worst = int(np.argmin(np.nan_to_num(each, nan=-np.inf)))
    pairs: dict[int, list[int]] = {}
    for number, one in enumerate(inputs):
        if one.pair is not None:
            pairs.setdefault(one.pair, []).append(number)
    if any(len(both) != 2 for both in pairs.values()):
        raise ValueError("a guidance pass lacks its other")
    differences = {
        second: sqnr_db(expected[second] - expected[first], found[second] - found[first])
        for first, second in pairs.values()
    }
    furthest = min(differences, key=lambda number: np.nan_to_num(differences[number], nan=-np.inf), default=None)
    return SqnrSummary(
        all_db=round(sqnr_db(np.asarray(expected), np.asarray(found)), 2),
        worst_db=round(each[worst], 2),
        worst_input=inputs[worst].label,
        difference_db=None if furthest is None else round(differences[furthest], 2),
        worst_difference="" if furthest is None else inputs[furthest].label,
    )


def require_finite(
    component: str, inputs: Sequence[VerificationInput], outputs: Outputs, graph: str, cure: str
) -> None:
    """Refuses outputs with NaN or infinity.

    Args:
        component: for the message.
        inputs: what the graph was fed.
        outputs: its answers.
        graph: which graph it is, such as ``the QDQ graph``.
        cure: what to do about it.

    Raises:
        VerificationError: there is one.
    """
    for one, output in zip(inputs, outputs, strict=True):
        if not np.isfinite(output).all():
            bad = int((~np.isfinite(output)).sum())
            raise VerificationError(
                f"{component}: {graph} answers with NaN or infinity",
                why=f"{bad} of {output.size} numbers, for the input: {one.label}.",
                hint=cure,
            )


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
    """What of a likeness is doubtful, and below what; empty if nothing is."""
    if not found.worst_db >= gate.warn_db:
        return f"{found.worst_db:.1f} dB SQNR for the worst input ({found.worst_input}); below {gate.warn_db:.0f} dB"
    if found.difference_db is not None and not found.difference_db >= gate.warn_difference_db:
        told = f"{found.difference_db:.1f} dB SQNR in the difference of the two guidance passes"
        return f"{told} ({found.worst_difference}); below {gate.warn_difference_db:.0f} dB"
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
    worst = min(near, key=lambda each: (not _poor(QDQ_AGAINST_FLOAT, each.likeness), each.likeness.worst_db))
    at = f"at guidance {worst.setting.guidance:g}{' with a negative prompt' if worst.setting.negative else ''}"
    if not scales[0] <= guidance <= scales[-1]:
        known = f"{at}, the nearest, the UNet's QDQ graph is {worst.likeness.worst_db:.1f} dB SQNR from the float model"
        return (
            f"guidance {guidance:g} lies outside what was calibrated ({scales[0]:g} to {scales[-1]:g}): nothing was "
            f"measured there; {known}. --target cpu --precision float shows what the model itself gives"
        )
    if poor := _poor(QDQ_AGAINST_FLOAT, worst.likeness):
        return f"{at} the UNet's QDQ graph is near the float model by {poor} images may differ from its own"
    return None
