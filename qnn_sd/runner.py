"""The one thing that the generation loop knows of a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

Feeds = Mapping[str, NDArray[Any]]


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


class Runner(Protocol):
    """A place where components run."""

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

    def unload(self, component: str) -> None:
        """Frees what a component holds; does nothing if it isn't loaded."""
