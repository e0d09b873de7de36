"""Components on a phone: a ``Runner`` over a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.runner import Fallback, Feeds, Runner
from qnn_sd.targets.adb.worker.client import WorkerClient, WorkerError
from qnn_sd.targets.adb.worker.protocol import ComputeUnit, Slot


@dataclass
class ComponentTimings:
    """What the worker measured of a component on its own clock.

    Attributes:
        place: where it runs on the phone.
        loads: how often it was loaded.
        load_seconds: of loading it, in all.
        run_seconds: of each pass, without the way to the host and back.
    """

    place: ComputeUnit
    loads: int = 0
    load_seconds: float = 0.0
    run_seconds: list[float] = field(default_factory=list)


class AdbRunner(Runner):
    """Runs components on one place of a phone.

    Args:
        client: a worker that was greeted.
        target: the runner's name, such as ``adb:SERIAL``.
        place: the phone's HTP or its CPU.
        options: of every component that is opened.
        file: gives a component's ONNX file on the phone, staging it if it must.
        log: gives what the worker has logged.
        keep_loaded: whether what is open stays open, for the host that comes next.
    """

    def __init__(
        self,
        client: WorkerClient,
        target: str,
        place: ComputeUnit,
        options: Mapping[str, str],
        file: Callable[[str], str],
        log: Callable[[], str],
        *,
        keep_loaded: bool = False,
    ) -> None:
        self._client, self._target, self._place = client, target, place
        self._options, self._file, self._log = options, file, log
        self._keep_loaded = keep_loaded
        self._kept: dict[str, NDArray[Any]] = {}
        self.compute: dict[str, ComponentTimings] = {}

    @property
    def target(self) -> str:
        """The phone, and its CPU where that is the place."""
        return self._target

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """None: a component runs in this place or not at all."""
        return ()

    def load(self, component: str) -> None:
        """Opens a component; does nothing if it is open.

        Raises:
            TargetError: the worker refused.
        """
        try:
            opened = self._client.open(component, self._file(component), place=self._place, options=self._options)
        except WorkerError as error:
            # ONNX Runtime says that a component may not run elsewhere; why it can't run here, QNN says in the log.
            lines = self._log().strip().splitlines()
            why = f"{error.why} Its log ends: {lines[-1]}" if lines else error.why
            raise WorkerError(error.code, error.what, why) from error
        measured = self._compute_of(component)
        if opened.loaded:
            measured.loads += 1
            measured.load_seconds += opened.load_nanoseconds / 1e9

    def run(self, component: str, feeds: Feeds) -> NDArray[Any]:
        """Runs an open component.

        Raises:
            TargetError: the worker refused, or is gone.
        """
        result = self._client.run(component, feeds)
        self._measured(component, [result.nanoseconds])
        assert result.output is not None  # it wasn't to be kept
        return result.output

    def run_guided(
        self, component: str, feeds: Feeds, name: str, choices: Sequence[NDArray[np.float32]], guidance: float
    ) -> NDArray[Any]:
        """Both passes and their combination in one call; the choices cross the cable once.

        Raises:
            TargetError: the worker refused, or is gone.
        """
        slots = [Slot(f"{name}.{number}") for number in range(len(choices))]
        for slot, choice in zip(slots, choices, strict=True):
            if self._kept.get(slot.name) is not choice:
                self._client.put(slot.name, choice)
                self._kept[slot.name] = choice
        result = self._client.guided(component, feeds, name, slots, guidance)
        self._measured(component, result.pass_nanoseconds)
        return result.output

    def unload(self, component: str) -> None:
        """Frees what a component holds on the phone, unless it is to stay loaded.

        Raises:
            TargetError: the worker is gone.
        """
        if not self._keep_loaded:
            self._client.close(component)

    def _measured(self, component: str, nanoseconds: Sequence[int]) -> None:
        self._compute_of(component).run_seconds += [each / 1e9 for each in nanoseconds]

    def _compute_of(self, component: str) -> ComponentTimings:
        return self.compute.setdefault(component, ComponentTimings(self._place))
