"""Frames between host and worker, protocol 1: ``docs/worker-protocol.md``, field by field.

Little-endian. A frame is ``u32 body length, u32 request id, u8 kind, body``. What comes from the
other side is never believed: a length, a dtype or a string that doesn't fit its frame is an error.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import TargetError

PROTOCOL = 1
MAX_BODY_BYTES = 512 << 20
MAX_STRING_BYTES = 4096
MAX_RANK = 8
HEADER = struct.Struct("<IIB")

Buffer = bytes | memoryview
Array = NDArray[Any]

_DTYPES = {1: np.dtype("<f4"), 2: np.dtype("<i4")}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    OPEN = 2
    PUT = 3
    RUN = 4
    GUIDED = 5
    CLOSE = 6
    DROP = 7
    STATUS = 8
    BYE = 9
    LEAVE = 10
    OK = 128
    ERROR = 129


class ErrorCode(IntEnum):
    """Why the worker refused. After the first three it ends."""

    REFUSED_FRAME = 1
    REFUSED_TOKEN = 2
    REFUSED_VERSION = 3
    NO_FILE = 4
    LOAD_FAILED = 5
    NOT_OPEN = 6
    BAD_INPUT = 7
    RUN_FAILED = 8
    NO_MEMORY = 9


class ComputeUnit(IntEnum):
    """Where a component runs on the phone."""

    HTP = 1
    CPU = 2


@dataclass(frozen=True)
class Slot:
    """A tensor that is kept on the worker, by its name."""

    name: str


@dataclass(frozen=True)
class Port:
    """An input or output of a component.

    Attributes:
        name: as in the graph.
        dtype: float32 or int32.
        shape: static; every size at least 1.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size of its tensor."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class WorkerInfo:
    """What the worker says of itself.

    Attributes:
        protocol: the version that it speaks.
        onnxruntime: version of its ONNX Runtime.
        platform: the system that it runs on, for people.
    """

    protocol: int
    onnxruntime: str
    platform: str


@dataclass(frozen=True)
class Opened:
    """A loaded component.

    Attributes:
        loaded: whether this call loaded it; False if it was open already.
        load_nanoseconds: how long loading took.
        inputs: its inputs.
        output: its one output.
    """

    loaded: bool
    load_nanoseconds: int
    inputs: tuple[Port, ...]
    output: Port


@dataclass(frozen=True)
class RunResult:
    """One call.

    Attributes:
        output: float32 or int32 in the output's shape; None if it was kept in a slot.
        nanoseconds: of the graph alone, on the worker's clock.
    """

    output: Array | None
    nanoseconds: int


@dataclass(frozen=True)
class GuidedResult:
    """One guided call.

    Attributes:
        output: float32 in the output's shape.
        pass_nanoseconds: of each pass, one or two.
        combination_nanoseconds: of their combination; 0 with one pass.
    """

    output: Array
    pass_nanoseconds: tuple[int, ...]
    combination_nanoseconds: int


@dataclass(frozen=True)
class ThermalZone:
    """A thermal sensor of the kernel.

    Attributes:
        name: the kernel's.
        degrees: Celsius.
    """

    name: str
    degrees: float


@dataclass(frozen=True)
class Battery:
    """The phone's battery.

    Attributes:
        percent: how full it is.
        degrees: Celsius.
    """

    percent: float
    degrees: float


@dataclass(frozen=True)
class WorkerStatus:
    """Memory of the worker's process, heat and battery.

    Attributes:
        resident_bytes: now; 0 where it can't be read.
        peak_bytes: at most so far; 0 where it can't be read.
        zones: the thermal zones that can be read.
        battery: None where it can't be read.
    """

    resident_bytes: int
    peak_bytes: int
    zones: tuple[ThermalZone, ...]
    battery: Battery | None


def malformed(why: str) -> TargetError:
    """A reply that breaks the protocol."""
    return TargetError(
        "The worker's reply can't be trusted",
        why=why,
        hint="Run the command again; if it stays, delete the phone's files with qnn-sd unstage.",
    )


class Body:
    """Collects a request's fields; tensors are sent from where they lie, never copied."""

    def __init__(self) -> None:
        self._parts: list[Buffer] = []

    def _pack(self, layout: str, *values: int | float) -> Body:
        self._parts.append(struct.pack(layout, *values))
        return self

    def u8(self, value: int) -> Body:
        """One byte."""
        return self._pack("<B", value)

    def u16(self, value: int) -> Body:
        """Two bytes."""
        return self._pack("<H", value)

    def u32(self, value: int) -> Body:
        """Four bytes."""
        return self._pack("<I", value)

    def f32(self, value: float) -> Body:
        """A float32."""
        return self._pack("<f", value)

    def string(self, text: str) -> Body:
        """A u16 length and UTF-8.

        Raises:
            TargetError: longer than the worker reads.
        """
        encoded = text.encode()
        if len(encoded) > MAX_STRING_BYTES:
            raise TargetError(
                f"{text[:60]}… is too long for the worker",
                why=f"It has {len(encoded):,} bytes, {MAX_STRING_BYTES:,} are the most.",
                hint="Use shorter names and paths.",
            )
        self.u16(len(encoded))
        self._parts.append(encoded)
        return self

    def options(self, options: Mapping[str, str]) -> Body:
        """A u16 count, then names and values."""
        self.u16(len(options))
        for key, value in options.items():
            self.string(key).string(value)
        return self

    def tensor(self, array: Array) -> Body:
        """Dtype, rank, sizes, bytes.

        Raises:
            TargetError: neither float32 nor int32, or a shape that doesn't travel.
        """
        code = _CODES.get(array.dtype)
        if code is None or array.ndim > MAX_RANK or array.size == 0 or array.nbytes > MAX_BODY_BYTES:
            raise TargetError(
                f"A {array.dtype} array of shape {list(array.shape)} can't be sent to the worker",
                why=f"It takes float32 and int32, up to {MAX_RANK} axes, {MAX_BODY_BYTES >> 20} MiB, no size of 0.",
                hint="Convert the array first.",
            )
        self._pack(f"<BB{array.ndim}I", code, array.ndim, *array.shape)
        self._parts.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        return self

    def inputs(self, inputs: Mapping[str, Array | Slot]) -> Body:
        """A u16 count, then names with a tensor or a slot each."""
        self.u16(len(inputs))
        for name, value in inputs.items():
            self.string(name)
            if isinstance(value, Slot):
                self.u8(1).string(value.name)
            else:
                self.u8(0).tensor(value)
        return self

    def frame(self, request_id: int, kind: int) -> list[Buffer]:
        """The frame in parts: small fields joined, tensors as views.

        Raises:
            TargetError: the body is over the limit.
        """
        length = sum(len(part) for part in self._parts)
        if length > MAX_BODY_BYTES:
            raise TargetError(
                "A request to the worker is too large",
                why=f"It has {length:,} bytes, {MAX_BODY_BYTES:,} are the most.",
                hint="Put large tensors into slots one by one.",
            )
        return _joined([HEADER.pack(length, request_id, kind), *self._parts])


def _joined(parts: Sequence[Buffer]) -> list[Buffer]:
    joined: list[Buffer] = []
    small = bytearray()
    for part in parts:
        if isinstance(part, memoryview) and len(part) > 1 << 16:
            joined += [bytes(small), part]
            small = bytearray()
        else:
            small += part
    return [*joined, bytes(small)] if small else joined


class Fields:
    """Reads a reply's fields; nothing is read past its end.

    Args:
        body: the reply's body.
    """

    def __init__(self, body: Buffer) -> None:
        self._body, self._at = memoryview(body), 0

    def _take(self, count: int) -> memoryview:
        if count > len(self._body) - self._at:
            raise malformed("A field runs past its frame.")
        self._at += count
        return self._body[self._at - count : self._at]

    def _unpack(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def u8(self) -> int:
        """One byte."""
        return int(self._unpack("<B"))

    def u16(self) -> int:
        """Two bytes."""
        return int(self._unpack("<H"))

    def u32(self) -> int:
        """Four bytes."""
        return int(self._unpack("<I"))

    def u64(self) -> int:
        """Eight bytes."""
        return int(self._unpack("<Q"))

    def f32(self) -> float:
        """A float32."""
        return float(self._unpack("<f"))

    def string(self) -> str:
        """A u16 length and UTF-8."""
        try:
            return bytes(self._take(self.u16())).decode()
        except UnicodeDecodeError as error:
            raise malformed("A string isn't UTF-8.") from error

    def port(self, name: str) -> Port:
        """Dtype, rank and sizes."""
        code, rank = self.u8(), self.u8()
        if code not in _DTYPES or rank > MAX_RANK:
            raise malformed(f"A tensor has dtype {code} and {rank} axes.")
        port = Port(name, _DTYPES[code], tuple(self.u32() for _axis in range(rank)))
        if not 0 < port.bytes <= MAX_BODY_BYTES:
            raise malformed(f"A tensor has shape {list(port.shape)}.")
        return port

    def tensor(self, expected: Port) -> Array:
        """A tensor that must be what the component's output is.

        Raises:
            TargetError: another dtype or shape, or fewer bytes than that.
        """
        found = self.port(expected.name)
        if found != expected:
            raise malformed(f"{expected.name} came as {found.dtype}{list(found.shape)}, not {list(expected.shape)}.")
        return np.frombuffer(self._take(found.bytes), found.dtype).reshape(found.shape)

    def end(self) -> None:
        """Every byte has a meaning.

        Raises:
            TargetError: some are left.
        """
        left = len(self._body) - self._at
        if left:
            raise malformed(f"A reply has {left:,} bytes more than its kind.")
