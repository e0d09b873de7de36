"""A runner that says what it does before it does it: a call may take minutes, and so may loading."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qnn_sd.runner import DelegatingRunner, Feeds, Outputs, Runner


class ShownRunner(DelegatingRunner):
    """Hands everything on to another runner.

    Args:
        runner: the one that does the work.
        doing: told what it does next.
    """

    def __init__(self, runner: Runner, doing: Callable[[str], None]) -> None:
        super().__init__(runner)
        self._doing = doing

    def load(self, component: str) -> None:
        """Loads a component."""
        self._doing(f"loading {component}")
        super().load(component)

    def run(self, component: str, feeds: Feeds) -> Outputs:
        """Runs a component."""
        self._doing(component)
        return self._runner.run(component, feeds)

    def run_guided(self, component: str, feeds: Feeds, passes: Sequence[Feeds], guidance: float) -> Outputs:
        """Runs a component with guidance."""
        self._doing(component)
        return self._runner.run_guided(component, feeds, passes, guidance)
