"""The host's end of the worker's protocol: a method for each request."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence

from qnn_sd.errors import QnnSdError
from qnn_sd.runner import Array, check_passes
from qnn_sd.targets.adb.worker.body import Body
from qnn_sd.targets.adb.worker.connection import WorkerConnection, WorkerError
from qnn_sd.targets.adb.worker.fields import Fields, malformed
from qnn_sd.targets.adb.worker.protocol import (
    MAX_BODY_BYTES,
    PROTOCOL,
    Battery,
    ComputeUnit,
    ErrorCode,
    GuidedResult,
    Kind,
    Opened,
    RunResult,
    Slot,
    TensorSpec,
    ThermalZone,
    WorkerInfo,
    WorkerStatus,
)


class WorkerClient:
    """Speaks to one worker.

    A reply that breaks the protocol closes the connection: what follows it has no meaning.

    Args:
        connection: a connected stream socket; its timeout, if any, holds for each wait. The client
            closes it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = WorkerConnection(connection)
        self._open: dict[str, Opened] = {}

    def explain_losses(self, explain: Callable[[str], QnnSdError]) -> None:
        """Has ``explain`` give the error for a connection that breaks, from what was noticed of it here."""
        self._connection.explain = explain

    @property
    def closed(self) -> bool:
        """Whether the connection is over: the worker is gone, or what it said made no sense."""
        return self._connection.closed

    def hello(self, token: str) -> WorkerInfo:
        """Introduces the host; must come first.

        Args:
            token: what the worker was given as the first line of its stdin.

        Raises:
            TargetError: the token or the protocol isn't the worker's, or there is no worker.
        """
        return self._connection.call(Kind.HELLO, Body().u16(PROTOCOL).string(token), _read_hello)

    def open(
        self,
        component: str,
        file: str,
        *,
        unit: ComputeUnit = ComputeUnit.HTP,
        options: Mapping[str, str] | None = None,
    ) -> Opened:
        """Loads a component; does nothing if exactly this is open already.

        Args:
            component: the name that it gets.
            file: path of its ONNX file on the phone; relative to the worker's working directory if it doesn't start
                with ``/``.
            unit: HTP or CPU, for the whole graph.
            options: ``plugin`` (the QNN plugin's library) and ``backend_path`` (libQnnHtp.so), paths as ``file``;
                ``threads`` of ops on the CPU; session entries (``session.…``, ``ep.…``); what is left goes to the QNN
                provider as it is.

        Raises:
            TargetError: the file is missing, ONNX Runtime refused it, or the name is taken by another file.
        """
        body = Body().string(component).string(file).u8(unit).options(options or {})
        opened = self._connection.call(Kind.OPEN, body, _read_opened)
        self._open[component] = opened
        return opened

    def opened(self, component: str) -> Opened:
        """What the worker said of a component when it was opened.

        Raises:
            WorkerError: it isn't open.
        """
        if component not in self._open:
            raise WorkerError(ErrorCode.NOT_OPEN, f"{component} isn't open", "It was never opened, or closed.")
        return self._open[component]

    def put(self, slot: str, tensor: Array) -> None:
        """Keeps a tensor on the worker.

        Args:
            slot: its name there; what it held before is replaced.
            tensor: float32 or int32.

        Raises:
            TargetError: it doesn't travel, or the worker has no memory for it.
        """
        self._connection.call(Kind.PUT, Body().string(slot).tensor(tensor), _read_nothing)

    def run(
        self, component: str, inputs: Mapping[str, Array | Slot], *, keep: Mapping[str, Slot] | None = None
    ) -> RunResult:
        """Runs an open component.

        Args:
            component: its name.
            inputs: every input: a tensor of the input's dtype and shape, or the slot that holds one.
            keep: outputs that stay on the worker, each in a slot of its own; the others come back.

        Raises:
            TargetError: an input is missing or doesn't fit, there is no such output, or the run failed.
        """
        kept = keep or {}
        returned = [spec for spec in self.opened(component).outputs if spec.name not in kept]
        body = Body().string(component).inputs(inputs).kept(kept)

        def read(fields: Fields) -> RunResult:
            nanoseconds = fields.u64()
            return RunResult(fields.outputs(returned), nanoseconds)

        return self._connection.call(Kind.RUN, body, read, _bytes(returned))

    def guided(
        self,
        component: str,
        inputs: Mapping[str, Array | Slot],
        passes: Sequence[Mapping[str, Slot]],
        guidance: float,
    ) -> GuidedResult:
        """Runs an open component once or twice, and combines each output: ``p0 + guidance * (p1 - p0)`` in float32.

        Args:
            component: its name.
            inputs: those that all passes share.
            passes: the slots of the inputs that differ, for each of the one or two passes; the same names in each.
                The negative prompt's pass comes first.
            guidance: the scale, rounded to float32.

        Raises:
            TargetError: an input is missing or doesn't fit, the passes don't fit together, an output that is to be
                combined isn't float32, or a run failed.
        """
        outputs = self.opened(component).outputs
        check_passes(component, inputs, passes)
        body = Body().string(component).inputs(inputs).passes(passes).f32(guidance)

        def read(fields: Fields) -> GuidedResult:
            if fields.u8() != len(passes):
                raise malformed(f"{len(passes)} passes were asked for.")
            times = tuple(fields.u64() for _pass in passes)
            combination = fields.u64()
            return GuidedResult(fields.outputs(outputs), times, combination)

        return self._connection.call(Kind.GUIDED, body, read, _bytes(outputs))

    def close(self, component: str) -> None:
        """Frees a component; does nothing if it isn't open.

        Raises:
            TargetError: the worker is gone.
        """
        self._connection.call(Kind.CLOSE, Body().string(component), _read_nothing)
        self._open.pop(component, None)

    def drop(self, slot: str) -> None:
        """Frees a slot; does nothing if there is none of that name.

        Raises:
            TargetError: the worker is gone.
        """
        self._connection.call(Kind.DROP, Body().string(slot), _read_nothing)

    def status(self) -> WorkerStatus:
        """Memory, heat and battery.

        Raises:
            TargetError: the worker is gone.
        """
        return self._connection.call(Kind.STATUS, Body(), _read_status)

    def bye(self) -> None:
        """Ends the worker and closes the connection.

        Raises:
            TargetError: the worker was gone already.
        """
        self._connection.call(Kind.BYE, Body(), _read_nothing)
        self._connection.close()

    def leave(self, seconds: int) -> None:
        """Leaves the worker, with all that is open, to the next host, and closes the connection.

        Args:
            seconds: how long it waits for that host before it ends, 1 to 86,400.

        Raises:
            TargetError: the worker refused, or was gone already.
        """
        self._connection.call(Kind.LEAVE, Body().u32(seconds), _read_nothing)
        self._connection.close()

    def hang_up(self) -> None:
        """Closes the connection without a word: the worker ends, after what it runs just now."""
        self._connection.close()


def _bytes(specs: Sequence[TensorSpec]) -> int:
    return sum(spec.bytes for spec in specs)


def _read_nothing(_fields: Fields) -> None:
    """An empty reply."""


def _read_hello(fields: Fields) -> WorkerInfo:
    info = WorkerInfo(fields.u16(), fields.string(), fields.string())
    if info.protocol != PROTOCOL:
        raise WorkerError(
            ErrorCode.REFUSED_VERSION,
            "The worker speaks another protocol",
            f"It speaks protocol {info.protocol}, not {PROTOCOL}.",
        )
    return info


def _read_opened(fields: Fields) -> Opened:
    opened = Opened(bool(fields.u8()), fields.u64(), fields.specs(0), fields.specs(1))
    if _bytes(opened.outputs) > MAX_BODY_BYTES:
        raise malformed(f"The outputs of a component have {_bytes(opened.outputs):,} bytes.")
    return opened


def _read_status(fields: Fields) -> WorkerStatus:
    resident, peak, count = fields.u64(), fields.u64(), fields.u16()
    zones = tuple(ThermalZone(fields.string(), fields.f32()) for _zone in range(count))
    battery = Battery(fields.f32(), fields.f32()) if fields.u8() else None
    return WorkerStatus(resident, peak, zones, battery)
