"""How near two graphs' outputs are: SQNR of all inputs, of the worst one, and of the guidance passes' difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qnn_sd.config import GuidanceSetting, StrictModel
from qnn_sd.errors import VerificationError
from qnn_sd.metrics import sqnr_db
from qnn_sd.runner import Array, Feeds, Outputs

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
        step: number of its sampling step, from 1; likewise.
    """

    label: str
    feeds: Feeds
    pair: int | None = None
    setting: GuidanceSetting | None = None
    trajectory: int | None = None
    step: int | None = None


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


class CallSqnr(StrictModel):
    """The figures of one call; of a sampling step with two guidance passes, of both together.

    Attributes:
        label: which call it is, of two passes the second.
        trajectory: number of the trajectory that it is of, from 0; None for one that is of none.
        step: number of the sampling step, from 1; likewise.
        setting: of the trajectory; likewise.
        sqnr: the figures.
    """

    label: str
    trajectory: int | None
    step: int | None
    setting: GuidanceSetting | None
    sqnr: SqnrSummary


def groups_by_call(inputs: Sequence[VerificationInput]) -> list[list[int]]:
    """Numbers of the inputs, those of two guidance passes together."""
    groups: dict[object, list[int]] = {}
    for number, one in enumerate(inputs):
        groups.setdefault(("single", number) if one.pair is None else one.pair, []).append(number)
    return list(groups.values())


def label_calls(
    inputs: Sequence[VerificationInput], groups: Sequence[Sequence[int]], found: Sequence[SqnrSummary]
) -> tuple[CallSqnr, ...]:
    """The figures of ``groups_by_call`` with what they are of."""
    last = [inputs[group[-1]] for group in groups]
    return tuple(
        CallSqnr(label=one.label, trajectory=one.trajectory, step=one.step, setting=one.setting, sqnr=sqnr)
        for one, sqnr in zip(last, found, strict=True)
    )


class SettingSqnr(StrictModel):
    """The figures at one setting of the command line.

    Attributes:
        setting: which one.
        sqnr: the figures there.
    """

    setting: GuidanceSetting
    sqnr: SqnrSummary

    @property
    def row(self) -> list[str]:
        """For a table: guidance, whether there is a negative prompt, the figures."""
        return [f"{self.setting.guidance:g}", "yes" if self.setting.negative else "no", self.sqnr.text]


class ComponentVerification(StrictModel):
    """What was measured of a component.

    Attributes:
        qdq_against_float: its QDQ graph against the float model, at the model's default guidance.
        settings: of a UNet: the same at each setting that was calibrated.
        binary_against_qdq: its context binary on the emulator against the QDQ graph; None in a bundle for the CPU.
    """

    qdq_against_float: SqnrSummary
    settings: tuple[SettingSqnr, ...] = ()
    binary_against_qdq: SqnrSummary | None = None


def sqnr_summary(
    inputs: Sequence[VerificationInput], expected: Sequence[Outputs], found: Sequence[Outputs]
) -> SqnrSummary:
    """Compares two graphs' outputs for the same inputs; with several outputs, each figure is the worst one's.

    Args:
        inputs: what both graphs were fed.
        expected: the reference's outputs, for each input.
        found: the other graph's outputs, for each input.

    Raises:
        ValueError: shapes differ, there is no input or an answer without one, or a guidance pass lacks its other.
        VerificationError: the graphs don't have the same outputs.
    """
    if not inputs or not len(inputs) == len(expected) == len(found):
        raise ValueError(f"{len(inputs)} inputs, {len(expected)} and {len(found)} answers")
    names = list(expected[0])
    if any(list(answer) != names for answer in (*expected, *found)):
        raise VerificationError(
            f"Two graphs of a component don't have the same outputs: {', '.join(names)} in the reference",
            why="They have other names, or stand in another order.",
            hint="Delete the component's folders in the cache, and build it anew.",
        )
    summaries = [
        _summary_of_output(
            inputs,
            [answer[name] for answer in expected],
            [answer[name] for answer in found],
            f", output {name}" if len(names) > 1 else "",
        )
        for name in names
    ]
    worst = min(summaries, key=lambda each: _nan_first(each.worst_db))
    differing = [each for each in summaries if each.difference_db is not None]
    difference = min(differing, key=lambda each: _nan_first(each.difference_db), default=worst)
    return SqnrSummary(
        all_db=min((each.all_db for each in summaries), key=_nan_first),
        worst_db=worst.worst_db,
        worst_input=worst.worst_input,
        difference_db=difference.difference_db,
        worst_difference=difference.worst_difference,
    )


def _nan_first(db: float | None) -> float:
    """Sorts NaN before every number: it counts as the worst."""
    return -np.inf if db is None or np.isnan(db) else db


def _summary_of_output(
    inputs: Sequence[VerificationInput], expected: Sequence[Array], found: Sequence[Array], suffix: str
) -> SqnrSummary:
    each = [sqnr_db(a, b) for a, b in zip(expected, found, strict=True)]
    worst = min(range(len(each)), key=lambda number: _nan_first(each[number]))
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
    furthest = min(differences, key=lambda number: _nan_first(differences[number]), default=None)
    return SqnrSummary(
        all_db=round(sqnr_db(np.asarray(expected), np.asarray(found)), 2),
        worst_db=round(each[worst], 2),
        worst_input=f"{inputs[worst].label}{suffix}",
        difference_db=None if furthest is None else round(differences[furthest], 2),
        worst_difference="" if furthest is None else f"{inputs[furthest].label}{suffix}",
    )


def require_finite(
    component: str, inputs: Sequence[VerificationInput], answers: Sequence[Outputs], graph: str, cure: str
) -> None:
    """Refuses outputs with NaN or infinity.

    Args:
        component: for the message.
        inputs: what the graph was fed.
        answers: its outputs, for each input.
        graph: which graph it is, such as ``the QDQ graph``.
        cure: what to do about it.

    Raises:
        VerificationError: there is one.
    """
    for one, outputs in zip(inputs, answers, strict=True):
        for name, output in outputs.items():
            if not np.isfinite(output).all():
                bad = int((~np.isfinite(output)).sum())
                raise VerificationError(
                    f"{component}: {graph} answers with NaN or infinity",
                    why=f"{bad} of {output.size} numbers of {name}, for the input: {one.label}.",
                    hint=cure,
                )
