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
    with 20 steps, 4 of them kept, a trajectory is 12 steps long on average; spread evenly over it they would
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
    # Taken in turns, no step is kept more than once more than another.
    kept_steps = [tuple(sorted((number * kept + place) % steps for place in range(kept))) for number in range(count)]
    kept_steps.sort(key=lambda some: (max(some), some))
    prompts = _ShuffledPrompts(texts, seed)
    return tuple(
        prompts.trajectory(number, settings[number % len(settings)], some, image=number >= count - images)
        for number, some in enumerate(kept_steps)
    )


def plan_verification(
    texts: PromptSet, settings: Sequence[GuidanceSetting], kept: tuple[int, ...], images: int, seed: int
) -> tuple[Trajectory, ...]:
    """A trajectory for each setting, all of which keep the same steps; the first ones are generated to the end.

    Args:
        texts: to draw from.
        settings: guidance scales, with and without a negative prompt, in turns; the model's default ones come first.
        kept: sampling steps, from 0.
        images: how many trajectories are generated to the end.
        seed: of the draw and of the first trajectory's noise; the next one has the next.
    """
    prompts = _ShuffledPrompts(texts, seed)
    return tuple(
        # One further with each round of the negative prompts: else a setting could always meet the same one.
        prompts.trajectory(
            number, setting, kept, image=number < images, negative=number + number // len(texts.negatives)
        )
        for number, setting in enumerate(settings)
    )


class _ShuffledPrompts:
    """A PromptSet in random order, as a file may be sorted by subject; the same order for the same seed."""

    def __init__(self, texts: PromptSet, seed: int) -> None:
        self._seed = seed
        # numpy promises that RandomState's streams never change.
        rng = np.random.RandomState(seed)
        self._prompts, self._negatives = (
            [given[index] for index in rng.permutation(len(given))] for given in (texts.prompts, texts.negatives)
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
        negative_prompt = self._negatives[place] if setting.negative else ""
        return Trajectory(prompt, negative_prompt, setting.guidance, self._seed + number, kept, image)
