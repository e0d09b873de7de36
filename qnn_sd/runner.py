"""The one thing that the generation loop knows of a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# Inputs by name.
Feeds = Mapping[str, Array]
# Outputs by name, in the graph's order.
Outputs = Mapping[str, Array]


@dataclass(frozen=True)
class Fallback:
    """A component that runs elsewhere than asked.

    Attributes:
        component: which one.
        target: where it runs instead.
        reason: why.
    """

    component: str
    target: str
    reason: str

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.component}: {self.target} ({self.reason})"


class Runner(Protocol):
    """A place where components run; ``run_guided`` is there for those that inherit from it."""

    @property
    def target(self) -> str:
        """Its name, as ``--target`` takes it."""

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """The components that run elsewhere."""

    def load(self, component: str) -> None:
        """Makes a component ready to run; does nothing if it is.

        Raises:
            TargetError: it can't be loaded here.
        """

    def run(self, component: str, feeds: Feeds) -> NDArray[Any]:
        """Runs a loaded component and returns its one output, float32.

        Raises:
            TargetError: it failed.
        """

    def run_guided(
        self, component: str, feeds: Feeds, name: str, choices: Sequence[NDArray[np.float32]], guidance: float
    ) -> NDArray[Any]:
        """Runs a loaded component once for each of one or two values of an input, and combines the outputs.

        Args:
            component: which one.
            feeds: the other inputs.
            name: of the input that differs.
            choices: its value, or the unconditional and the conditional one.
            guidance: scale of classifier-free guidance (Ho and Salimans 2022).

        Returns:
            The output, or ``first + guidance * (second - first)`` in float32.

        Raises:
            TargetError: it failed.
        """
        passes = [self.run(component, {**feeds, name: choice}) for choice in choices]
        if len(passes) == 1:
            return passes[0]
        return np.asarray(passes[0] + np.float32(guidance) * (passes[1] - passes[0]))

    def unload(self, component: str) -> None:
        """Frees what a component holds; does nothing if it isn't loaded."""
