"""DPM-Solver++ (2M) (Lu et al. 2022): second order, multistep, midpoint."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.base import Array, Scheduler, float32


class DpmPlusPlus2M(Scheduler):
    """Extrapolates the clean latent from its last two predictions."""

    default_spacing: ClassVar[str] = "linspace"

    def _prepare(self) -> None:
        self.timesteps = self.spaced().astype(np.float32)
        all_sigmas = np.sqrt((1 - self.alphas.astype(np.float64)) / self.alphas)
        ratios = np.append(np.interp(self.timesteps, np.arange(self.train_steps), all_sigmas), 0.0)
        # Variance-preserving form: alpha^2 + sigma^2 = 1, their ratio is the interpolated sigma.
        self._alphas = 1 / np.sqrt(1 + ratios**2)
        self._sigmas = ratios * self._alphas
        self._last: Array | None = None

    def spaced(self) -> NDArray[np.float64]:
        """As the base, but linspace and leading divide into one step more and drop the last."""
        if self.spacing == "linspace":
            return np.linspace(0, self.train_steps - 1, self.steps + 1).round()[:0:-1]
        if self.spacing == "leading":
            ratio = self.train_steps // (self.steps + 1)
            return (np.arange(self.steps + 1)[:0:-1] * ratio + self.offset).astype(np.float64)
        return self.trailing()

    def _log_snr(self, index: int) -> float:
        sigma = float(self._sigmas[index])
        return math.inf if sigma == 0 else math.log(float(self._alphas[index])) - math.log(sigma)

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:  # noqa: ARG002
        """First order at the first and the last step, second order between (table 2 of the paper)."""
        clean, _ = self.denoised(predicted, sample, float(self._alphas[index]), float(self._sigmas[index]))
        estimate = clean
        width = self._log_snr(index + 1) - self._log_snr(index)
        if self._last is not None and index < self.steps - 1:
            before = self._log_snr(index) - self._log_snr(index - 1)
            # Nearly as many steps as were trained share timesteps after rounding: nothing to extrapolate from.
            if before > 0:
                estimate = clean + (clean - self._last) * (0.5 * width / before)
        self._last = clean
        ratio = self._sigmas[index + 1] / self._sigmas[index]
        return float32(ratio * sample - self._alphas[index + 1] * math.expm1(-width) * estimate)
