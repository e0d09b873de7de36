"""The one thing that the generation loop knows of a target."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import TargetError

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

    def run(self, component: str, feeds: Feeds) -> Outputs:
        """Runs a loaded component.

        Args:
            component: which one.
            feeds: all inputs.

        Returns:
            All outputs, float32 or int32.

        Raises:
            TargetError: it failed.
        """

    def run_guided(self, component: str, feeds: Feeds, passes: Sequence[Feeds], guidance: float) -> Outputs:
        """Runs a loaded component once for each guidance pass, and combines the outputs.

        Args:
            component: which one.
            feeds: the inputs that all passes share.
            passes: the inputs that differ, for each of the one or two passes; the same names in each. The
                unconditional pass comes first.
            guidance: scale of classifier-free guidance (Ho and Salimans 2022).

        Returns:
            With two passes each output is ``p0 + guidance * (p1 - p0)``, every operation rounded to float32; with
            one, ``p0``.

        Raises:
            TargetError: it failed, an output that is to be combined isn't float32, or the passes don't fit.
        """
        check_passes(component, feeds, passes)
        found = [self.run(component, {**feeds, **each}) for each in passes]
        if len(found) == 1:
            return found[0]
        return {name: _combined(component, name, first, found[1][name], guidance) for name, first in found[0].items()}

    def unload(self, component: str) -> None:
        """Frees what a component holds; does nothing if it isn't loaded."""


class DelegatingRunner(Runner):
    """Hands on to another runner what a subclass doesn't do otherwise; ``run`` is the subclass's.

    Args:
        runner: the other one.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @property
    def target(self) -> str:
        """The other runner's."""
        return self._runner.target

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """The other runner's."""
        return self._runner.fallbacks

    def load(self, component: str) -> None:
        """Loads a component on the other runner.

        Raises:
            TargetError: it can't be loaded there.
        """
        self._runner.load(component)

    def unload(self, component: str) -> None:
        """Frees what a component holds on the other runner."""
        self._runner.unload(component)


def only_output(component: str, outputs: Outputs) -> Array:
    """The output of a component that has one.

    Raises:
        TargetError: it has none, or several.
    """
    if len(outputs) != 1:
        raise TargetError(
            f"{component} has {len(outputs)} outputs where one is expected",
            why=f"Its outputs: {', '.join(outputs) or 'none'}.",
            hint="Choose one by its name.",
        )
    return next(iter(outputs.values()))


def named_output(component: str, outputs: Outputs, name: str) -> Array:
    """One output of a component.

    Raises:
        TargetError: it has no such output.
    """
    if name not in outputs:
        raise TargetError(
            f"{component} has no output {name}",
            why=f"Its outputs: {', '.join(outputs) or 'none'}.",
            hint="Compile the bundle anew: its graphs come from another version of qnn-sd.",
        )
    return outputs[name]


def check_passes(component: str, shared: Collection[str], passes: Sequence[Collection[str]]) -> None:
    """Refuses guidance passes whose inputs don't fit together.

    Args:
        component: for the message.
        shared: names of the inputs that all passes share.
        passes: names of the inputs that differ, for each pass.

    Raises:
        TargetError: there is none or more than two, their names differ, or one of them is shared too.
    """
    names = [set(each) for each in passes]
    if not 1 <= len(passes) <= 2:
        why = f"There are {len(passes)} passes; guidance has one or two."
    elif odd := names[0] ^ names[-1]:
        why = f"Inputs of one pass alone: {', '.join(sorted(odd))}."
    elif both := names[0] & set(shared):
        why = f"Inputs that are shared and differ: {', '.join(sorted(both))}."
    else:
        return
    raise TargetError(
        f"The guidance passes of {component} don't fit together",
        why=why,
        hint="Give each input once: in the shared ones, or in every pass.",
    )


def _combined(component: str, name: str, first: Array, second: Array, guidance: float) -> Array:
    if first.dtype != np.float32:
        raise TargetError(
            "Guidance needs float32 outputs",
            why=f"{name} of {component} is {first.dtype}.",
            hint="Run the component without guidance.",
        )
    return np.asarray(first + np.float32(guidance) * (second - first))
