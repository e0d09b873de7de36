"""Which prompts are painted for calibration, with which noise, and which of their steps are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trajectory:
    """One prompt on its way from noise to picture.

    Attributes:
        prompt: what is painted.
        seed: of its noise.
        kept: the sampling steps, from 0, whose UNet inputs are kept (each guidance pass).
        picture: whether it is painted to the end, for the VAE's inputs.
    """

    prompt: str
    seed: int
    kept: tuple[int, ...]
    picture: bool

    def length(self, steps: int) -> int:
        """How many of all sampling steps are to be done: a prompt whose last kept step is early ends there."""
        return steps if self.picture else max(self.kept) + 1


def plan_trajectories(
    prompts: Sequence[str], count: int, steps: int, kept: int, pictures: int, seed: int
) -> tuple[Trajectory, ...]:
    """A plan that is the same for the same arguments, from early steps to late ones.

    Each trajectory keeps neighbouring steps, and all of them together keep each step equally often (where the
    numbers don't divide, some once more). Neighbours, because to reach a late step costs all that come before:
    with 20 steps, 4 of them kept, a trajectory is 12 steps long on average; spread over it they would
    take nearly 20. The longest ones are painted to the end.

    Args:
        prompts: to draw from; if there are fewer than ``count``, they come again with other noise.
        count: of trajectories.
        steps: sampling steps from noise to picture.
        kept: steps that each trajectory keeps, at most ``steps``.
        pictures: how many trajectories are painted to the end, at most ``count``.
        seed: of the draw and of the first trajectory's noise; the next one has the next.
    """
    # Dealt round like cards, no step is ahead of another by more than one.
    hands = [tuple(sorted((number * kept + place) % steps for place in range(kept))) for number in range(count)]
    hands.sort(key=lambda hand: (max(hand), hand))
    # numpy promises that RandomState's streams never change. Drawn, because a file may be sorted by subject.
    order = np.random.RandomState(seed).permutation(len(prompts))
    return tuple(
        Trajectory(prompts[order[number % len(order)]], seed + number, hand, picture=number >= count - pictures)
        for number, hand in enumerate(hands)
    )
