"""Encodings: how a tensor's numbers are stored.

real = scale * (integer - zero_point), rounded half to even and saturated, as ONNX's
QuantizeLinear and QNN define it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES: dict[tuple[int, bool], type[np.generic]] = {
    (8, True): np.int8,
    (8, False): np.uint8,
    (16, True): np.int16,
    (16, False): np.uint16,
    (32, True): np.int32,
}
# Below this a scale would be denormal or zero (a tensor that is constantly zero).
SMALLEST_SCALE = 1e-12
_PIECE_ELEMENTS = 2**20


@dataclass(frozen=True)
class Encoding:
    """One tensor's encoding.

    Attributes:
        bits: 8, 16 or 32.
        signed: whether the integers are signed.
        scale: float32, a scalar, or [channels] for one scale a channel.
        zero_point: the integer that stands for zero; 0 where the encoding is symmetric.
        axis: the channels' axis, None for one scale for the tensor.
    """

    bits: int
    signed: bool
    scale: NDArray[np.float32]
    zero_point: int = 0
    axis: int | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The integers' numpy dtype."""
        return np.dtype(DTYPES[self.bits, self.signed])

    def range(self) -> tuple[float, float]:
        """The smallest and the largest number that it holds; of a tensor's one scale."""
        info = np.iinfo(self.dtype)
        low, high = ((int(end) - self.zero_point) * float(self.scale) for end in (info.min, info.max))
        return low, high

    def quantize(self, values: NDArray[Any]) -> NDArray[Any]:
        """The integers that stand for real values; beside the result it needs a few MB.

        As ONNX's QuantizeLinear defines it: float32 values are divided in float32. Only int32
        integers, which float32 can't hold, are computed in float64.
        """
        exact = np.float64 if self.bits > 24 else np.float32
        scale = np.asarray(self.scale, exact)
        if self.axis is not None:
            scale = scale.reshape([-1 if index == self.axis else 1 for index in range(values.ndim)])
        info = np.iinfo(self.dtype)
        result = np.empty(values.shape, self.dtype)
        for part in _slices(values.shape):
            scales = scale[part] if self.axis == 0 else scale
            steps = np.asarray(values[part] / scales, exact)
            np.rint(steps, steps)
            np.add(steps, self.zero_point, steps)
            np.clip(steps, info.min, info.max, steps)
            result[part] = steps
        return result


def _slices(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Cuts a tensor along its first axis into pieces of about a million elements."""
    if not shape:
        yield ()
        return
    rows = max(1, _PIECE_ELEMENTS // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], rows):
        yield (slice(start, start + rows),)


def asymmetric(low: float, high: float, bits: int = 16) -> Encoding:
    """Unsigned encoding of low..high, widened to hold zero exactly (padding and ReLU need it)."""
    low, high = min(low, 0.0), max(high, 0.0)
    steps = 2**bits - 1
    scale = max((high - low) / steps, SMALLEST_SCALE)
    return Encoding(bits, False, np.array(scale, np.float32), round(-low / scale))


def symmetric(magnitude: float, bits: int = 16) -> Encoding:
    """Signed encoding of -magnitude..magnitude with zero point 0."""
    scale = max(magnitude / (2 ** (bits - 1) - 1), SMALLEST_SCALE)
    return Encoding(bits, True, np.array(scale, np.float32))


def per_channel(weight: NDArray[np.float32], axis: int, least: NDArray[np.float64] | None = None) -> Encoding:
    """int8 symmetric encoding with one scale a channel, from each channel's largest magnitude.

    Args:
        weight: the weights.
        axis: the output channels' axis.
        least: [channels] smallest scales allowed, or None.
    """
    others = tuple(index for index in range(weight.ndim) if index != axis)
    # Two reductions instead of abs: that would need a copy of the weight.
    magnitude = np.maximum(weight.max(axis=others), -weight.min(axis=others)).astype(np.float64)
    scale = np.maximum(magnitude / 127, SMALLEST_SCALE if least is None else np.maximum(least, SMALLEST_SCALE))
    return Encoding(8, True, scale.astype(np.float32), 0, axis)


def bias(source: Encoding, weight: Encoding) -> Encoding:
    """int32 encoding of a layer's bias: steps of input scale times weight scale, as the HTP adds them up.

    Args:
        source: of the layer's input.
        weight: of the layer's weight.
    """
    scale = source.scale.astype(np.float64) * weight.scale.astype(np.float64)
    return Encoding(32, True, scale.astype(np.float32), 0, None if weight.axis is None else 0)


def second_operand(encoding: Encoding) -> Encoding:
    """int16 symmetric encoding that covers another one's range.

    For the second operand of a product of two activations: the HTP computes a uint16 one with 8 bits.
    """
    low, high = encoding.range()
    return symmetric(max(-low, high))
