"""What components are fed along a real generation, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qnn_sd.runner import DelegatingRunner, Feeds, Outputs, Runner


@dataclass(frozen=True)
class Sample:
    """One call of a component.

    Attributes:
        feeds: its inputs.
        outputs: its outputs by name, float32 or int32.
    """

    feeds: Feeds
    outputs: Outputs


class RecordingRunner(DelegatingRunner):
    """Passes calls on to another runner and keeps samples of them.

    Args:
        runner: where components run.
        keeps: told a component and the number of its call, from 0: whether that one is kept.
        refuses: called with a component and its feeds where an output isn't finite.

    Attributes:
        samples: what was kept, by component.
    """

    def __init__(
        self,
        runner: Runner,
        keeps: Callable[[str, int], bool] = lambda _component, _call: True,
        refuses: Callable[[str, Feeds], None] = lambda _component, _feeds: None,
    ) -> None:
        super().__init__(runner)
        self._keeps, self._refuses = keeps, refuses
        self._calls: dict[str, int] = {}
        self.samples: dict[str, list[Sample]] = {}

    def unload(self, component: str) -> None:
        """Keeps the component: the next prompt needs it again."""

    def run(self, component: str, feeds: Feeds) -> Outputs:
        """Runs a component on the other runner.

        Raises:
            TargetError: it failed.
        """
        outputs = self._runner.run(component, feeds)
        if not all(np.isfinite(output).all() for output in outputs.values()):
            self._refuses(component, feeds)
        call = self._calls.get(component, 0)
        self._calls[component] = call + 1
        if self._keeps(component, call):
            self.samples.setdefault(component, []).append(Sample(dict(feeds), outputs))
        return outputs
