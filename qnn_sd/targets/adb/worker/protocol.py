"""The numbers of protocol 2 between host and worker (``docs/worker-protocol.md``), and what its replies say."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from qnn_sd.runner import Outputs

PROTOCOL = 2
MAX_BODY_BYTES = 512 << 20
MAX_STRING_BYTES = 4096
MAX_RANK = 8
# Inputs of a component, and likewise outputs.
MAX_TENSORS = 64
# Length of the body, request id, kind.
HEADER = struct.Struct("<IIB")
DTYPES: Mapping[int, np.dtype[Any]] = {1: np.dtype("<f4"), 2: np.dtype("<i4")}

Buffer = bytes | memoryview


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
class TensorSpec:
    """Name, dtype and static shape of a component's input or output.

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
        inputs: its inputs, at most 64, in the graph's order.
        outputs: its outputs, 1 to 64, in the graph's order.
    """

    loaded: bool
    load_nanoseconds: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class RunResult:
    """One call.

    Attributes:
        outputs: float32 or int32 in their shapes, in the graph's order; without those that were kept in slots.
        nanoseconds: of the graph alone, on the worker's clock.
    """

    outputs: Outputs
    nanoseconds: int


@dataclass(frozen=True)
class GuidedResult:
    """One guided call.

    Attributes:
        outputs: in the graph's order; with two passes combined, float32.
        pass_nanoseconds: of each pass, one or two.
        combination_nanoseconds: of their combination; 0 with one pass.
    """

    outputs: Outputs
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
