"""What the blocks know of a checkpoint: tensors by name."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class TensorSource(Protocol):
    """Gives a checkpoint's tensors by name."""

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        """The tensor of that name, float32, of exactly that shape."""

    def has(self, name: str) -> bool:
        """Whether there is a tensor of that name."""


class RandomTensors:
    """Random weights of whatever shape is asked for: for full-size trials without a checkpoint.

    Weights are scaled to keep the activations' variance (He et al. 2015), norms get ones and
    zeros, so that a deep graph stays finite.

    Args:
        seed: of the generator; the same seed gives the same model.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self.tensors = 0
        self.parameters = 0

    def has(self, name: str) -> bool:  # noqa: ARG002
        """Whatever is asked for exists, under its modern name."""
        return True

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        """A new random tensor."""
        self.tensors += 1
        self.parameters += int(np.prod(shape))
        if "norm" in name.split(".")[-2]:
            return np.full(shape, float(name.endswith("weight")), np.float32)
        fan_in = max(1, int(np.prod(shape[1:])))
        return self._rng.standard_normal(shape, np.float32) * np.float32(fan_in**-0.5)
