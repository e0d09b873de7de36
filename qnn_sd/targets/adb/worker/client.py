"""The host's end of the connection to a worker: one call, one request, one reply."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from qnn_sd.errors import TargetError
from qnn_sd.targets.adb.worker.protocol import (
    HEADER,
    PROTOCOL,
    Array,
    Battery,
    Body,
    Buffer,
    ComputeUnit,
    ErrorCode,
    Fields,
    GuidedResult,
    Kind,
    Opened,
    RunResult,
    Slot,
    ThermalZone,
    WorkerInfo,
    WorkerStatus,
    malformed,
)

T = TypeVar("T")

# More than any reply without a tensor: 64 inputs with names of 1,000 characters at most.
_SMALL_REPLY_BYTES = 1 << 20
# After these the worker ends.
_LAST = (ErrorCode.REFUSED_FRAME, ErrorCode.REFUSED_TOKEN, ErrorCode.REFUSED_VERSION)
_HINTS = {
    ErrorCode.REFUSED_VERSION: "Delete the phone's files with qnn-sd unstage: the next run stages the right worker.",
    ErrorCode.NO_FILE: "Run the command again: it stages what is missing.",
    ErrorCode.LOAD_FAILED: "The worker's log (--debug) says why; often the binary is another SoC's or a newer QAIRT's.",
    ErrorCode.NO_MEMORY: "Close other apps on the phone, or choose a smaller size.",
}
_HINT = "Run the command again; the worker's own log says more with --debug."


class WorkerError(TargetError):
    """A request that the worker refused.

    Attributes:
        code: why, as the protocol counts it.
    """

    def __init__(self, code: ErrorCode, what: str, why: str) -> None:
        super().__init__(what, why=why, hint=_HINTS.get(code, _HINT))
        self.code = code


class WorkerClient:
    """Speaks to one worker.

    A reply that breaks the protocol closes the connection: what follows it has no meaning.

    Args:
        connection: a connected stream socket; its timeout, if any, holds for each wait. The client
            closes it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._last_id = 0
        self._open: dict[str, Opened] = {}

    @property
    def closed(self) -> bool:
        """Whether the connection is over: the worker is gone, or what it said made no sense."""
        return self._connection.fileno() < 0

    def hello(self, token: str) -> WorkerInfo:
        """Introduces the host; must come first.

        Args:
            token: what the worker was given as the first line of its stdin.

        Raises:
            TargetError: the token or the protocol isn't the worker's, or there is no worker.
        """
        return self._call(Kind.HELLO, Body().u16(PROTOCOL).string(token), _read_hello)

    def open(
        self,
        component: str,
        file: str,
        *,
        place: ComputeUnit = ComputeUnit.HTP,
        options: Mapping[str, str] | None = None,
    ) -> Opened:
        """Loads a component; does nothing if exactly this is open already.

        Args:
            component: the name that it gets.
            file: path of its ONNX file on the phone; relative to the worker's working directory if it doesn't start
                with ``/``.
            place: HTP or CPU, all of it.
            options: ``plugin`` (the QNN plugin's library) and ``backend_path`` (libQnnHtp.so), paths as ``file``;
                ``threads`` of ops on the CPU; session entries (``session.…``, ``ep.…``); what is left goes to the QNN
                provider as it is.

        Raises:
            TargetError: the file is missing, ONNX Runtime refused it, or the name is taken by another file.
        """
        body = Body().string(component).string(file).u8(place).options(options or {})
        opened = self._call(Kind.OPEN, body, _read_opened)
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
        self._call(Kind.PUT, Body().string(slot).tensor(tensor), _read_nothing)

    def run(self, component: str, inputs: Mapping[str, Array | Slot], *, keep_as: str | None = None) -> RunResult:
        """Runs an open component.

        Args:
            component: its name.
            inputs: every input: a tensor of the input's dtype and shape, or the slot that holds one.
            keep_as: slot that gets the output instead of the caller.

        Raises:
            TargetError: an input is missing or doesn't fit, or the run failed.
        """
        output = self.opened(component).output
        body = Body().string(component).inputs(inputs).string(keep_as or "")

        def read(fields: Fields) -> RunResult:
            nanoseconds, has_tensor = fields.u64(), fields.u8()
            if has_tensor != (keep_as is None):
                raise malformed("A reply has an output where none was asked for, or none where one was.")
            return RunResult(fields.tensor(output) if has_tensor else None, nanoseconds)

        return self._call(Kind.RUN, body, read, output.bytes)

    def guided(
        self, component: str, inputs: Mapping[str, Array | Slot], name: str, slots: Sequence[Slot], guidance: float
    ) -> GuidedResult:
        """Runs an open component once or twice, and combines: ``p0 + guidance * (p1 - p0)`` in float32.

        Args:
            component: its name.
            inputs: those that both passes have in common.
            name: the input that differs.
            slots: what it is in the first pass (the negative prompt's), and in the second if there is one.
            guidance: the scale, rounded to float32.

        Raises:
            TargetError: an input is missing or doesn't fit, or a run failed.
        """
        output = self.opened(component).output
        body = Body().string(component).inputs(inputs).string(name).u8(len(slots))
        for slot in slots:
            body.string(slot.name)

        def read(fields: Fields) -> GuidedResult:
            if fields.u8() != len(slots):
                raise malformed(f"{len(slots)} passes were asked for.")
            passes = tuple(fields.u64() for _slot in slots)
            return GuidedResult(
                combination_nanoseconds=fields.u64(), pass_nanoseconds=passes, output=fields.tensor(output)
            )

        return self._call(Kind.GUIDED, body.f32(guidance), read, output.bytes)

    def close(self, component: str) -> None:
        """Frees a component; does nothing if it isn't open.

        Raises:
            TargetError: the worker is gone.
        """
        self._call(Kind.CLOSE, Body().string(component), _read_nothing)
        self._open.pop(component, None)

    def drop(self, slot: str) -> None:
        """Frees a slot; does nothing if there is none of that name.

        Raises:
            TargetError: the worker is gone.
        """
        self._call(Kind.DROP, Body().string(slot), _read_nothing)

    def status(self) -> WorkerStatus:
        """Memory, heat and battery.

        Raises:
            TargetError: the worker is gone.
        """
        return self._call(Kind.STATUS, Body(), _read_status)

    def bye(self) -> None:
        """Ends the worker and closes the connection.

        Raises:
            TargetError: the worker was gone already.
        """
        self._call(Kind.BYE, Body(), _read_nothing)
        self._connection.close()

    def leave(self, seconds: int) -> None:
        """Leaves the worker, with all that is open, to the next host, and closes the connection.

        Args:
            seconds: how long it waits for that host before it ends, 1 to 86,400.

        Raises:
            TargetError: the worker refused, or was gone already.
        """
        self._call(Kind.LEAVE, Body().u32(seconds), _read_nothing)
        self._connection.close()

    def hang_up(self) -> None:
        """Closes the connection without a word: the worker ends, after what it runs just now."""
        self._connection.close()

    def _call(self, kind: Kind, body: Body, read: Callable[[Fields], T], tensor_bytes: int = 0) -> T:
        """One request and its reply; anything but a well-formed reply closes the connection."""
        frame = body.frame(self._last_id + 1, kind)
        self._last_id += 1
        try:
            fields = Fields(self._exchange(frame, _SMALL_REPLY_BYTES + tensor_bytes))
            result = read(fields)
            fields.end()
            return result
        except WorkerError as error:
            if error.code in _LAST:
                self._connection.close()
            raise
        except OSError as error:
            self._connection.close()
            raise TargetError(
                "The connection to the worker broke",
                why=error.strerror or str(error) or type(error).__name__,
                hint=_HINT,
            ) from error
        except BaseException:
            # Ctrl-C too: half of a reply may still be on its way.
            self._connection.close()
            raise

    def _exchange(self, frame: Sequence[Buffer], most: int) -> memoryview:
        try:
            for part in frame:
                self._connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            # A worker that hangs up early has said why.
            return self._reply(most)
        return self._reply(most)

    def _reply(self, most: int) -> memoryview:
        """The body of the reply to the last request.

        Raises:
            WorkerError: the worker refused it.
            TargetError: the reply breaks the protocol.
        """
        length, request_id, kind = HEADER.unpack(self._receive(HEADER.size))
        if length > most:
            raise malformed(f"It says that it has {length:,} bytes, where {most:,} are the most.")
        if request_id != self._last_id:
            raise malformed(f"It answers request {request_id}, not {self._last_id}.")
        if kind not in (Kind.OK, Kind.ERROR):
            raise malformed(f"There is no reply of kind {kind}.")
        body = self._receive(length)
        if kind == Kind.ERROR:
            raise _read_error(body)
        return body

    def _receive(self, count: int) -> memoryview:
        whole = memoryview(bytearray(count))
        got = 0
        while got < count:
            more = self._connection.recv_into(whole[got:])
            if not more:
                raise TargetError(
                    "The worker has gone",
                    why=f"It hung up after {got:,} of {count:,} bytes of a reply." if got else "It hung up.",
                    hint=_HINT,
                )
            got += more
        return whole


def _read_error(body: Buffer) -> WorkerError:
    fields = Fields(body)
    number, what, why = fields.u16(), fields.string(), fields.string()
    fields.end()
    try:
        code = ErrorCode(number)
    except ValueError as error:
        raise malformed(f"There is no error of code {number}.") from error
    return WorkerError(code, what, why)


def _read_nothing(_fields: Fields) -> None:
    """An empty reply."""


def _read_hello(fields: Fields) -> WorkerInfo:
    info = WorkerInfo(fields.u16(), fields.string(), fields.string())
    if info.protocol != PROTOCOL:
        raise malformed(f"It speaks protocol {info.protocol}, not {PROTOCOL}.")
    return info


def _read_opened(fields: Fields) -> Opened:
    loaded, nanoseconds, count = fields.u8(), fields.u64(), fields.u16()
    inputs = tuple(fields.port(fields.string()) for _input in range(count))
    return Opened(bool(loaded), nanoseconds, inputs, fields.port(fields.string()))


def _read_status(fields: Fields) -> WorkerStatus:
    resident, peak, count = fields.u64(), fields.u64(), fields.u16()
    zones = tuple(ThermalZone(fields.string(), fields.f32()) for _zone in range(count))
    battery = Battery(fields.f32(), fields.f32()) if fields.u8() else None
    return WorkerStatus(resident, peak, zones, battery)
