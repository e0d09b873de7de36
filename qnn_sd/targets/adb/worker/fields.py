"""Reads the fields of a reply (``docs/worker-protocol.md``).

What comes from the worker is never believed: a length, a dtype or a string that doesn't fit its frame is an error.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from qnn_sd.errors import TargetError
from qnn_sd.runner import Array, Outputs
from qnn_sd.targets.adb.worker.protocol import DTYPES, MAX_BODY_BYTES, MAX_RANK, MAX_TENSORS, Buffer, TensorSpec


def malformed(why: str) -> TargetError:
    """A reply that breaks the protocol."""
    return TargetError(
        "The worker's reply can't be trusted",
        why=why,
        hint="Run the command again; if it stays, delete the phone's files with qnn-sd unstage.",
    )


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

    def spec(self, name: str) -> TensorSpec:
        """Dtype, rank and sizes."""
        code, rank = self.u8(), self.u8()
        if code not in DTYPES or rank > MAX_RANK:
            raise malformed(f"A tensor has dtype {code} and {rank} axes.")
        spec = TensorSpec(name, DTYPES[code], tuple(self.u32() for _axis in range(rank)))
        if not 0 < spec.bytes <= MAX_BODY_BYTES:
            raise malformed(f"A tensor has shape {list(spec.shape)}.")
        return spec

    def tensor(self, expected: TensorSpec) -> Array:
        """A tensor that must be what the component's output is; its name was read before.

        Raises:
            TargetError: another dtype or shape, or fewer bytes than that.
        """
        found = self.spec(expected.name)
        if found != expected:
            raise malformed(f"{expected.name} came as {found.dtype}{list(found.shape)}, not {list(expected.shape)}.")
        return np.frombuffer(self._take(found.bytes), found.dtype).reshape(found.shape)

    def specs(self, least: int) -> tuple[TensorSpec, ...]:
        """The inputs or outputs of a component.

        Args:
            least: how many there must be.

        Raises:
            TargetError: another number than there can be, or a name comes twice.
        """
        count = self.u16()
        if not least <= count <= MAX_TENSORS:
            raise malformed(f"A component has {count} inputs or outputs, where {least} to {MAX_TENSORS} can be.")
        specs = tuple(self.spec(self.string()) for _tensor in range(count))
        if len({spec.name for spec in specs}) != count:
            raise malformed("Two inputs or two outputs of a component have the same name.")
        return specs

    def outputs(self, expected: Sequence[TensorSpec]) -> Outputs:
        """A u16 count, then names and tensors.

        Args:
            expected: what must come, in this order.

        Raises:
            TargetError: another number of outputs, another name, dtype or shape.
        """
        count = self.u16()
        if count != len(expected):
            raise malformed(f"A reply has {count} outputs, where {len(expected)} were to come.")
        found: dict[str, Array] = {}
        for spec in expected:
            name = self.string()
            if name != spec.name:
                raise malformed(f"Output {name[:60]} came where {spec.name} was due.")
            found[name] = self.tensor(spec)
        return found

    def end(self) -> None:
        """Every byte has a meaning.

        Raises:
            TargetError: some are left.
        """
        left = len(self._body) - self._at
        if left:
            raise malformed(f"A reply has {left:,} bytes more than its kind.")
