"""Component by component, a second target where the first can't: with its reason, never silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qnn_sd.errors import TargetError
from qnn_sd.runner import Fallback, Feeds, Outputs, Runner


class FallbackRunner(Runner):
    """Runs components on one target, and those that it can't load on another.

    Args:
        first: the target that was asked for.
        second: the one that takes what the first can't.
        report: called with each fallback when it happens.
    """

    def __init__(self, first: Runner, second: Runner, report: Callable[[Fallback], None]) -> None:
        self._first, self._second, self._report = first, second, report
        self._fallbacks: dict[str, Fallback] = {}

    @property
    def target(self) -> str:
        """The target that was asked for."""
        return self._first.target

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """The components that the second target took."""
        return tuple(self._fallbacks.values())

    def _place(self, component: str) -> Runner:
        return self._second if component in self._fallbacks else self._first

    def load(self, component: str) -> None:
        """Loads a component on the first target, or on the second if that fails.

        Raises:
            TargetError: neither can.
        """
        if component in self._fallbacks:
            self._second.load(component)
            return
        try:
            self._first.load(component)
        except TargetError as error:
            self._second.load(component)
            fallback = Fallback(component, self._second.target, error.why or error.what)
            self._fallbacks[component] = fallback
            self._report(fallback)

    def run(self, component: str, feeds: Feeds) -> Outputs:
        """Runs a component where it was loaded."""
        return self._place(component).run(component, feeds)

    def run_guided(self, component: str, feeds: Feeds, passes: Sequence[Feeds], guidance: float) -> Outputs:
        """Runs a component where it was loaded, with guidance."""
        return self._place(component).run_guided(component, feeds, passes, guidance)

    def unload(self, component: str) -> None:
        """Frees a component where it was loaded."""
        self._place(component).unload(component)
