"""Which prompts are generated for calibration, with which noise and guidance, and which of their steps are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qnn_sd.config import GuidanceSetting


@dataclass(frozen=True)
class Trajectory:
    """One prompt on its way from noise to image.

    Attributes:
        prompt: what is generated.
        negative: what it keeps away from, or "".
        guidance: scale of classifier-free guidance.
        seed: of its noise.
        kept: the sampling steps, from 0, whose UNet inputs are kept (each guidance pass).
        image: whether it is generated to the end, for the VAE's inputs.
    """

    prompt: str
    negative: str
    guidance: float
    seed: int
    kept: tuple[int, ...]
    image: bool

    @property
    def setting(self) -> GuidanceSetting:
        """What of it is a setting of the command line."""
        return GuidanceSetting(guidance=self.guidance, negative=bool(self.negative))

    def length(self, steps: int) -> int:
        """How many of all sampling steps are to be done: a prompt whose last kept step is early ends there."""
        return steps if self.image else max(self.kept) + 1


@dataclass(frozen=True)
class PromptSet:
    """What trajectories draw from.

    Attributes:
        prompts: if there are fewer than trajectories, they come again with other noise.
        negatives: negative prompts; likewise.
    """

    prompts: Sequence[str]
    negatives: Sequence[str]


def plan_trajectories(
    texts: PromptSet, settings: Sequence[GuidanceSetting], count: int, steps: int, kept: int, images: int, seed: int
) -> tuple[Trajectory, ...]:
    """A plan that is the same for the same arguments, from early steps to late ones.

    Each trajectory keeps neighbouring steps, and all of them together keep each step equally often (where the
    numbers don't divide, some once more). Neighbours, because to reach a late step costs all that come before:
    with 20 steps, 4 of them kept, a trajectory is 12 steps long on average; evenly_spaced over it they would
    take nearly 20. The longest ones are generated to the end. Settings take turns, so that each is met early and late.

    Args:
        texts: to draw from.
        settings: guidance scales, with and without a negative prompt.
        count: of trajectories.
        steps: sampling steps from noise to image.
        kept: steps that each trajectory keeps, at most ``steps``.
        images: how many trajectories are generated to the end, at most ``count``.
        seed: of the draw and of the first trajectory's noise; the next one has the next.
    """
    # Dealt round like cards, no step is ahead of another by more than one.
    hands = [tuple(sorted((number * kept + place) % steps for place in range(kept))) for number in range(count)]
    hands.sort(key=lambda hand: (max(hand), hand))
    drawn = _ShuffledPrompts(texts, seed)
    return tuple(
        drawn.trajectory(number, settings[number % len(settings)], hand, image=number >= count - images)
        for number, hand in enumerate(hands)
    )


def plan_verification(
    texts: PromptSet, settings: Sequence[GuidanceSetting], kept: tuple[int, ...], images: int, seed: int
) -> tuple[Trajectory, ...]:
    """A trajectory for each setting, all of which keep the same steps; the first ones are generated to the end.

    Args:
        texts: to draw from.
        settings: guidance scales, with and without a negative prompt, in turns; the model's own come first.
        kept: sampling steps, from 0.
        images: how many trajectories are generated to the end.
        seed: of the draw and of the first trajectory's noise; the next one has the next.
    """
    drawn = _ShuffledPrompts(texts, seed)
    return tuple(
        # Moved on by one at each time round: else the turns of settings could always meet the same negative prompt.
        drawn.trajectory(number, setting, kept, image=number < images, negative=number + number // len(texts.negatives))
        for number, setting in enumerate(settings)
    )


class _ShuffledPrompts:
    """PromptSet in an order that the seed decides: a file may be sorted by subject."""

    def __init__(self, texts: PromptSet, seed: int) -> None:
        self._seed = seed
        # numpy promises that RandomState's streams never change.
        rng = np.random.RandomState(seed)
        self._prompts, self._negatives = (
            [some[place] for place in rng.permutation(len(some))] for some in (texts.prompts, texts.negatives)
        )

    def trajectory(
        self,
        number: int,
        setting: GuidanceSetting,
        kept: tuple[int, ...],
        *,
        image: bool,
        negative: int | None = None,
    ) -> Trajectory:
        prompt = self._prompts[number % len(self._prompts)]
        place = (number if negative is None else negative) % len(self._negatives)
        told = self._negatives[place] if setting.negative else ""
        return Trajectory(prompt, told, setting.guidance, self._seed + number, kept, image)
