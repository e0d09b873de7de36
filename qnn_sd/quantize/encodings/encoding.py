"""Encodings: how a tensor's numbers are stored.

real = scale * (integer - zero_point), rounded half to even and saturated, as ONNX's
QuantizeLinear and QNN define it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

# Integers of any width, as numpy computes with them: those of 4 bits are int8 in memory.
Integers = NDArray[np.integer[Any]]

_DTYPES: dict[tuple[int, bool], type[np.generic]] = {
    (4, True): np.int8,
    (8, True): np.int8,
    (8, False): np.uint8,
    (16, True): np.int16,
    (16, False): np.uint16,
    (32, True): np.int32,
}
# Below this a scale would be denormal or zero (a tensor that is constantly zero).
SMALLEST_SCALE = 1e-12
_CHUNK_ELEMENTS = 2**20


def integer_limits(bits: int, signed: bool, narrow_range: bool = False) -> tuple[int, int]:
    """The smallest and the largest integer of so many bits.

    Args:
        bits: of the integers.
        signed: whether they are signed.
        narrow_range: whether the smallest signed one, which has no positive counterpart, is left out, as TensorFlow's
            ``narrow_range`` does: -127 to 127, -7 to 7. Symmetric scales are chosen for these.
    """
    if not signed:
        return 0, 2**bits - 1
    largest = 2 ** (bits - 1) - 1
    return -largest if narrow_range else -largest - 1, largest


@dataclass(frozen=True)
class Encoding:
    """One tensor's encoding.

    Attributes:
        bits: 4 (signed alone), 8, 16 or 32.
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
        """The numpy dtype of the integers in memory."""
        return np.dtype(_DTYPES[self.bits, self.signed])

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The dtype that they are stored with: of 4 bits ``ml_dtypes.int4``, which is ONNX's INT4."""
        return np.dtype(ml_dtypes.int4) if self.bits == 4 else self.dtype

    @property
    def dtype_name(self) -> str:
        """ONNX's and AIMET's name of the integers: ``int4``, ``uint16``."""
        return f"{'int' if self.signed else 'uint'}{self.bits}"

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest integer."""
        return integer_limits(self.bits, self.signed)

    def range(self) -> tuple[float, float]:
        """The smallest and the largest number that it holds; of a tensor's one scale."""
        low, high = ((limit - self.zero_point) * float(self.scale) for limit in self.limits)
        return low, high

    def quantize(self, values: NDArray[Any]) -> Integers:
        """The integers that stand for real values; beside the result it needs a few MB.

        As ONNX's QuantizeLinear defines it: float32 values are divided in float32. Only int32
        integers, which float32 can't hold, are computed in float64.
        """
        exact = np.float64 if self.bits > 24 else np.float32
        scale = np.asarray(self.scale, exact)
        if self.axis is not None:
            scale = scale.reshape([-1 if index == self.axis else 1 for index in range(values.ndim)])
        result = np.empty(values.shape, self.dtype)
        for part in _chunks(values.shape):
            scales = scale[part] if self.axis == 0 else scale
            steps = np.asarray(values[part] / scales, exact)
            np.rint(steps, steps)
            np.add(steps, self.zero_point, steps)
            np.clip(steps, *self.limits, steps)
            result[part] = steps
        return result


@dataclass(frozen=True)
class Encodings:
    """The encodings of a float graph's tensors, by their names in it.

    Biases are missing: theirs follows from the input's and the weight's (``bias``).

    Attributes:
        activations: of every float activation.
        parameters: of every weight and every float constant that is data.
        operands: of activations as second operand of a product, where that isn't int16 (``attention_operands.py``).
    """

    activations: Mapping[str, Encoding]
    parameters: Mapping[str, Encoding]
    operands: Mapping[str, Encoding] = field(default_factory=dict)

    def of(self, name: str) -> Encoding:
        """The encoding of an activation or a parameter."""
        return self.activations[name] if name in self.activations else self.parameters[name]


def _chunks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Cuts a tensor along its first axis into chunks of about a million elements."""
    if not shape:
        yield ()
        return
    rows = max(1, _CHUNK_ELEMENTS // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], rows):
        yield (slice(start, start + rows),)


def asymmetric(low: float, high: float, bits: int = 16) -> Encoding:
    """Unsigned encoding of low..high, widened to hold zero exactly (padding and ReLU need it)."""
    low, high = min(low, 0.0), max(high, 0.0)
    _, steps = integer_limits(bits, signed=False)
    scale = max((high - low) / steps, SMALLEST_SCALE)
    return Encoding(bits, False, np.array(scale, np.float32), round(-low / scale))


def symmetric(magnitude: float, bits: int = 16) -> Encoding:
    """Signed encoding of -magnitude..magnitude with zero point 0."""
    _, largest = integer_limits(bits, signed=True, narrow_range=True)
    scale = max(magnitude / largest, SMALLEST_SCALE)
    return Encoding(bits, True, np.array(scale, np.float32))


def per_channel(
    weight: NDArray[np.float32], axis: int, smallest_scales: NDArray[np.float64] | None = None, bits: int = 8
) -> Encoding:
    """Signed symmetric encoding with one scale a channel, from each channel's largest magnitude.

    Args:
        weight: the weights.
        axis: the output channels' axis.
        smallest_scales: [channels] smallest scales allowed, or None.
        bits: of the integers.
    """
    others = tuple(index for index in range(weight.ndim) if index != axis)
    # Two reductions instead of abs: that would need a copy of the weight.
    magnitude = np.maximum(weight.max(axis=others), -weight.min(axis=others)).astype(np.float64)
    _, largest = integer_limits(bits, signed=True, narrow_range=True)
    smallest = SMALLEST_SCALE if smallest_scales is None else np.maximum(smallest_scales, SMALLEST_SCALE)
    return Encoding(bits, True, np.maximum(magnitude / largest, smallest).astype(np.float32), 0, axis)


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
