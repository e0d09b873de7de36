"""A runner that says what it does before it does it: a call may take minutes, and so may loading."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qnn_sd.runner import Fallback, Feeds, Outputs, Runner


class ShownRunner(Runner):
    """Hands everything on to another runner.

    Args:
        runner: the one that does the work.
        doing: told what it does next.
    """

    def __init__(self, runner: Runner, doing: Callable[[str], None]) -> None:
        self._runner, self._doing = runner, doing

    @property
    def target(self) -> str:
        """The other runner's."""
        return self._runner.target

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """The other runner's."""
        return self._runner.fallbacks

    def load(self, component: str) -> None:
        """Loads a component."""
        self._doing(f"loading {component}")
        self._runner.load(component)

    def run(self, component: str, feeds: Feeds) -> Outputs:
        """Runs a component."""
        self._doing(component)
        return self._runner.run(component, feeds)

    def run_guided(self, component: str, feeds: Feeds, passes: Sequence[Feeds], guidance: float) -> Outputs:
        """Runs a component with guidance."""
        self._doing(component)
        return self._runner.run_guided(component, feeds, passes, guidance)

    def unload(self, component: str) -> None:
        """Frees a component."""
        self._runner.unload(component)
