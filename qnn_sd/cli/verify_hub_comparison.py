"""How near a device's outputs are to what is computed here from the same inputs, and where they part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qnn_sd.cli.documents.verify_hub import ComparedComponent, DifferenceGain, SiliconJob
from qnn_sd.errors import VerificationError
from qnn_sd.runner import Array, Outputs
from qnn_sd.verification import (
    CallSqnr,
    Gate,
    SqnrSummary,
    VerificationInput,
    binary_gate,
    groups_by_call,
    label_calls,
    require_finite,
    require_gate,
    sqnr_summary,
)

# What noise alone does to a gain stays within.
_SIGMAS = 4.0


@dataclass(frozen=True)
class OutputsOfAll:
    """What each form of a component answered to the same inputs; float32 or int32, by name.

    Attributes:
        silicon: the device.
        emulator: the context binary on the emulator; None where it wasn't asked.
        qdq: the QDQ graph on the CPU.
        floats: the float graph on the CPU.
    """

    silicon: Sequence[Outputs]
    emulator: Sequence[Outputs] | None
    qdq: Sequence[Outputs]
    floats: Sequence[Outputs]


def silicon_gate(htp_arch: int) -> Gate:
    """What silicon is held to: the same as its binary on the emulator.

    Args:
        htp_arch: Hexagon architecture, such as 75 for v75.
    """
    return replace(binary_gate(htp_arch), name="silicon against QDQ graph")


def compare(
    component: str, inputs: Sequence[VerificationInput], outputs: OutputsOfAll, job: SiliconJob, limit: Gate
) -> ComparedComponent:
    """The figures of a component.

    Args:
        component: its name, for messages.
        inputs: what all forms were fed.
        outputs: what they answered.
        job: that the device's are from.
        limit: below which silicon and emulator part.

    Raises:
        VerificationError: NaN or infinity in the device's outputs.
    """
    silicon, emulator = outputs.silicon, outputs.emulator
    require_finite(
        component,
        inputs,
        silicon,
        "the device",
        "Try the other road (--hub-form), and send the job's page to AI Hub's support.",
    )
    nearest = outputs.qdq if emulator is None else emulator
    by_call = _by_call(inputs, nearest, silicon)
    return ComparedComponent(
        job=job,
        calls=len(inputs),
        against_emulator=None if emulator is None else sqnr_summary(inputs, emulator, silicon),
        against_qdq=sqnr_summary(inputs, outputs.qdq, silicon),
        against_float=sqnr_summary(inputs, outputs.floats, silicon),
        emulator_against_qdq=None if emulator is None else sqnr_summary(inputs, outputs.qdq, emulator),
        qdq_against_float=sqnr_summary(inputs, outputs.floats, outputs.qdq),
        difference_gain=_difference_gain(inputs, nearest, silicon),
        by_call=by_call,
        parts_at=next((each for each in by_call if refusal(limit, component, each.sqnr)), None),
    )


def refusal(limit: Gate, component: str, found: SqnrSummary) -> VerificationError | None:
    """The refusal of figures that are below a limit; None for those that aren't."""
    try:
        require_gate(limit, component, found)
    except VerificationError as error:
        return error
    return None


def nearest_figures(compared: ComparedComponent) -> SqnrSummary:
    """Silicon against the emulator; where that wasn't asked, against the QDQ graph."""
    return compared.against_emulator or compared.against_qdq


def parts(compared: ComparedComponent, component: str, limit: Gate) -> bool:
    """Whether silicon is apart from its emulator."""
    return compared.parts_at is not None or refusal(limit, component, nearest_figures(compared)) is not None


def _by_call(
    inputs: Sequence[VerificationInput], expected: Sequence[Outputs], found: Sequence[Outputs]
) -> tuple[CallSqnr, ...]:
    groups = groups_by_call(inputs)
    figures = [
        sqnr_summary([inputs[n] for n in group], [expected[n] for n in group], [found[n] for n in group])
        for group in groups
    ]
    return label_calls(inputs, groups, figures)


def _difference_gain(
    inputs: Sequence[VerificationInput], expected: Sequence[Outputs], found: Sequence[Outputs]
) -> DifferenceGain | None:
    """How strong the guidance differences are; of several outputs that of the one that is furthest from 1."""
    pairs = [group for group in groups_by_call(inputs) if len(group) == 2]
    gains: list[DifferenceGain] = []
    for name in expected[0] if pairs else ():
        ours = np.stack([_difference(expected, name, pair) for pair in pairs])
        theirs = np.stack([_difference(found, name, pair) for pair in pairs])
        power = float(np.vdot(ours, ours))
        if power > 0:
            error = float(np.vdot(theirs - ours, theirs - ours))
            gains.append(
                DifferenceGain(
                    gain=round(float(np.vdot(ours, theirs)) / power, 4),
                    margin=round(_SIGMAS * float(np.sqrt(error / power / ours.size)), 4),
                )
            )
    return max(gains, key=lambda each: abs(each.gain - 1), default=None)


def _difference(outputs: Sequence[Outputs], name: str, pair: Sequence[int]) -> Array:
    first, second = (np.asarray(outputs[number][name], np.float64) for number in pair)
    return second - first
