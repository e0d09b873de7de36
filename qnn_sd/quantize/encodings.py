"""Encodings: how a tensor's numbers are stored, and AIMET's JSON for them.

real = scale * (integer - zero_point), rounded half to even and saturated, as ONNX's
QuantizeLinear and QNN define it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
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

    def quantize(self, values: NDArray[Any]) -> NDArray[Any]:
        """The integers that stand for real values."""
        scale = np.asarray(self.scale, np.float64)
        if self.axis is not None:
            shape = [1] * values.ndim
            shape[self.axis] = -1
            scale = scale.reshape(shape)
        info = np.iinfo(self.dtype)
        return np.asarray(np.clip(np.rint(values / scale) + self.zero_point, info.min, info.max), self.dtype)


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
    scale = np.abs(weight).max(axis=others).astype(np.float64) / 127
    scale = np.maximum(scale, SMALLEST_SCALE if least is None else np.maximum(least, SMALLEST_SCALE))
    return Encoding(8, True, scale.astype(np.float32), 0, axis)


def write_json(path: Path, activations: Mapping[str, Encoding], parameters: Mapping[str, Encoding]) -> None:
    """Writes encodings in AIMET's format 1.0.0 (AIMET's ``offset`` is the negated zero point)."""

    def entry(name: str, encoding: Encoding) -> dict[str, Any]:
        scales = np.atleast_1d(encoding.scale)
        # AIMET counts unsigned integers from the offset up, and signed ones from -2^(bits-1).
        offset = -encoding.zero_point - (2 ** (encoding.bits - 1) if encoding.signed else 0)
        return {
            "name": name,
            "enc_type": "PER_TENSOR" if encoding.axis is None else "PER_CHANNEL",
            "dtype": "INT",
            "bw": encoding.bits,
            "is_sym": encoding.signed,
            "scale": [float(scale) for scale in scales],
            "offset": [offset] * len(scales),
        }

    document = {
        "version": "1.0.0",
        "activation_encodings": [entry(name, value) for name, value in activations.items()],
        "param_encodings": [entry(name, value) for name, value in parameters.items()],
    }
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
