"""Components on a phone: a ``Runner`` over a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from qnn_sd.runner import Array, Fallback, Feeds, Outputs, Runner, check_passes
from qnn_sd.targets.adb.worker.client import WorkerClient
from qnn_sd.targets.adb.worker.connection import WorkerError
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
    """Runs components on one compute unit of a phone.

    Args:
        client: a worker that was greeted.
        target: the runner's name, such as ``adb:SERIAL``.
        unit: the phone's HTP or its CPU.
        options: of every component that is opened.
        file: gives a component's ONNX file on the phone, staging it if it must.
        log: gives what the worker has logged.
        keep_loaded: whether what is open stays open, for the host that comes next.
    """

    def __init__(
        self,
        client: WorkerClient,
        target: str,
        unit: ComputeUnit,
        options: Mapping[str, str],
        file: Callable[[str], str],
        log: Callable[[], str],
        *,
        keep_loaded: bool = False,
    ) -> None:
        self._client, self._target, self._unit = client, target, unit
        self._options, self._file, self._log = options, file, log
        self._keep_loaded = keep_loaded
        self._sent: dict[str, Array] = {}
        self.compute: dict[str, ComponentTimings] = {}

    @property
    def target(self) -> str:
        """The phone, and its CPU where components run there."""
        return self._target

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """None: a component runs on this unit or not at all."""
        return ()

    def load(self, component: str) -> None:
        """Opens a component; does nothing if it is open.

        Raises:
            TargetError: the worker refused.
        """
        try:
            opened = self._client.open(component, self._file(component), unit=self._unit, options=self._options)
        except WorkerError as error:
            # ONNX Runtime says that a component may not run elsewhere; why it can't run here, QNN says in the log.
            lines = self._log().strip().splitlines()
            why = f"{error.why} Its log ends: {lines[-1]}" if lines else error.why
            raise WorkerError(error.code, error.what, why) from error
        measured = self._compute_of(component)
        if opened.loaded:
            measured.loads += 1
            measured.load_seconds += opened.load_nanoseconds / 1e9

    def run(self, component: str, feeds: Feeds) -> Outputs:
        """Runs an open component.

        Raises:
            TargetError: the worker refused, or is gone.
        """
        result = self._client.run(component, feeds)
        self._measured(component, [result.nanoseconds])
        return result.outputs

    def run_guided(self, component: str, feeds: Feeds, passes: Sequence[Feeds], guidance: float) -> Outputs:
        """All passes and their combination in one call.

        An input that differs between the passes isn't sent again if it is the same array as in the last call.

        Raises:
            TargetError: the passes don't fit together, the worker refused, or is gone.
        """
        check_passes(component, feeds, passes)
        slots = [
            {name: self._slot(f"{name}.{number}", value) for name, value in each.items()}
            for number, each in enumerate(passes)
        ]
        result = self._client.guided(component, feeds, slots, guidance)
        self._measured(component, result.pass_nanoseconds)
        return result.outputs

    def _slot(self, name: str, value: Array) -> Slot:
        """The slot that holds an array, which is sent unless it is there."""
        # The phone's HTP and CPU have one worker, and a runner each: neither may take the other's slot for its own.
        slot = Slot(f"{self._unit.name}/{name}")
        if self._sent.get(slot.name) is not value:
            self._client.put(slot.name, value)
            self._sent[slot.name] = value
        return slot

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
        return self.compute.setdefault(component, ComponentTimings(self._unit))
