"""Normal noise equal to ``torch.Generator("cpu").manual_seed(seed)``, without torch.

A seed then means the same image here as in the tools people compare with. torch draws 32-bit
words from a Mersenne Twister (Matsumoto and Nishimura 1998), keeps 24 bits of each as a uniform
number, and makes normal numbers by Box and Muller's transform (1958): in blocks of sixteen for
16 numbers and more, pair by pair in double precision for fewer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LARGEST_SEED = 2**64 - 1
_BLOCK = 16


class TorchNoise:
    """The stream of one seed.

    Args:
        seed: 0 to 2^64 - 1; as in torch, the generator uses its low 32 bits.
    """

    def __init__(self, seed: int) -> None:
        # RandomState seeds the Twister the way the reference implementation and torch do.
        self._words = np.random.RandomState(seed & 0xFFFFFFFF)
        self._spare: float | None = None

    def normal(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """The next standard normal numbers, float32, as ``torch.randn(shape, generator=…)``."""
        count = math.prod(shape)
        if count < _BLOCK:
            return np.array([self._one() for _ in range(count)], np.float32).reshape(shape)
        uniform = self._uniform(count)
        whole = count // _BLOCK * _BLOCK
        result = np.empty(count, np.float32)
        result[:whole] = _box_muller(uniform[:whole])
        if whole != count:
            # torch draws the last sixteen anew where the count is no multiple of sixteen.
            result[-_BLOCK:] = _box_muller(self._uniform(_BLOCK))
        return result.reshape(shape)

    def _raw(self, count: int) -> NDArray[np.uint64]:
        return self._words.randint(0, 2**32, count, np.uint64)

    def _uniform(self, count: int) -> NDArray[np.float32]:
        return (self._raw(count) & (2**24 - 1)).astype(np.float32) * np.float32(2**-24)

    def _one(self) -> float:
        if self._spare is not None:
            value, self._spare = self._spare, None
            return value
        # A double takes 53 bits of two words, the first one being the high half.
        words = [int(word) for word in self._raw(4)]
        first, second = (((words[i] << 32 | words[i + 1]) & (2**53 - 1)) * 2.0**-53 for i in (0, 2))
        radius = math.sqrt(-2 * math.log1p(-second))
        angle = 2 * math.pi * first
        self._spare = radius * math.sin(angle)
        return radius * math.cos(angle)


def _box_muller(uniform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blocks of sixteen uniform numbers to blocks of sixteen normal ones: eight radii, eight angles."""
    blocks = uniform.reshape(-1, 2, _BLOCK // 2)
    radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - blocks[:, 0]))
    angle = np.float32(2 * math.pi) * blocks[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
