"""Writes the fields of a request (``docs/worker-protocol.md``)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

from qnn_sd.errors import TargetError
from qnn_sd.runner import Array
from qnn_sd.targets.adb.worker.protocol import (
    DTYPES,
    HEADER,
    MAX_BODY_BYTES,
    MAX_RANK,
    MAX_STRING_BYTES,
    MAX_TENSORS,
    Buffer,
    Slot,
)

_CODES = {dtype: code for code, dtype in DTYPES.items()}


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
        """A u16 count, then names with a tensor or a slot each.

        Raises:
            TargetError: there are more than a component has, or a tensor can't be sent.
        """
        self._count(inputs)
        for name, value in inputs.items():
            self.string(name)
            if isinstance(value, Slot):
                self.u8(1).string(value.name)
            else:
                self.u8(0).tensor(value)
        return self

    def kept(self, outputs: Mapping[str, Slot]) -> Body:
        """A u16 count, then names of outputs with the slot that keeps each.

        Raises:
            TargetError: there are more than a component has.
        """
        self._count(outputs)
        for name, slot in outputs.items():
            self.string(name).string(slot.name)
        return self

    def passes(self, passes: Sequence[Mapping[str, Slot]]) -> Body:
        """The number of passes, then a u16 count and names of the inputs that differ, with a slot for each pass.

        Args:
            passes: the same names in each.

        Raises:
            TargetError: there are more inputs than a component has.
        """
        self.u8(len(passes))._count(passes[0])
        for name in passes[0]:
            self.string(name)
            for each in passes:
                self.string(each[name].name)
        return self

    def _count(self, tensors: Mapping[str, object]) -> Body:
        if len(tensors) > MAX_TENSORS:
            raise TargetError(
                f"{len(tensors)} inputs or outputs can't be sent to the worker",
                why=f"A component has at most {MAX_TENSORS}.",
                hint="Give those that the component has.",
            )
        return self.u16(len(tensors))

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
