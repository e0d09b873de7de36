"""DEIS (Zhang and Chen 2023) in its log-rho form: a multistep exponential integrator."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.base import Array, float32
from qnn_sd.generate.schedulers.multistep import Multistep
from qnn_sd.generate.schedulers.noise_levels import spaced_levels
from qnn_sd.generate.schedulers.settings import flag


class Deis(Multistep):
    """Extrapolates the noise by a polynomial in the logarithm of the noise level.

    Its last step ends at the lowest level that was trained, not at none: the polynomial has no value there.
    """

    # Of both there is one value, and diffusers reads other solvers' as that one.
    variants: ClassVar[frozenset[str]] = Multistep.variants | {"algorithm_type", "solver_type"}

    def _final_level(self, levels: NDArray[np.float64]) -> float:
        is_spaced = spaced_levels(self.config, 1, 1, 1) is not None
        return float(levels[-1]) if is_spaced else self._least_level(levels)

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:  # noqa: ARG002
        """The exact solution where the noise is that polynomial (formula 15 of the paper)."""
        alpha, sigma = float(self._alphas[index]), float(self._sigmas[index])
        clean, direction = self.denoised(predicted, sample, alpha, sigma)
        if self._thresholding:
            direction = float32((sample - alpha * clean) / sigma)
        self._outputs = [*self._outputs, direction][-self.order :]
        order = self._lowered(index, flag(self.config, "lower_order_final", True))
        levels = [float(self._sigmas[n] / self._alphas[n]) for n in range(index, index - order, -1)]
        there = float(self._sigmas[index + 1] / self._alphas[index + 1])
        logs = [math.log(level) for level in levels]
        weights = [_integral(logs, n, there) - _integral(logs, n, levels[0]) for n in range(order)]
        total = sum(weight * each for weight, each in zip(weights, reversed(self._outputs), strict=False))
        return float32(float(self._alphas[index + 1]) * (sample / alpha + total))


def _integral(logs: list[float], which: int, level: float) -> float:
    """The antiderivative over the noise level of Lagrange's polynomial that is 1 at ``logs[which]`` and 0 at others.

    With x = log(level): the integral of x^n is level times x^n - n times the integral of x^(n - 1).
    """
    x = math.log(level)
    others = [log for n, log in enumerate(logs) if n != which]
    scale = math.prod(logs[which] - other for other in others)
    powers = [level, level * (x - 1), level * (x * x - 2 * x + 2)]
    coefficients = np.poly(others)[::-1] if others else np.ones(1)
    return float(sum(c * power for c, power in zip(coefficients, powers, strict=False))) / scale
