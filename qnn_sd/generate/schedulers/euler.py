"""Euler's method on the noise level, plain and ancestral (Karras et al. 2022)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.base import Array, Scheduler, float32


class Euler(Scheduler):
    """Samples are clean latent plus sigma times noise; one Euler step from sigma to sigma."""

    default_spacing: ClassVar[str] = "linspace"

    def _prepare(self) -> None:
        # Times may lie between training steps here: sigma is interpolated.
        self.timesteps = self.spaced().astype(np.float32)
        all_sigmas = np.sqrt((1 - self.alphas.astype(np.float64)) / self.alphas)
        sigmas = np.interp(self.timesteps, np.arange(self.train_steps), all_sigmas)
        self.sigmas = np.append(sigmas, 0.0)
        largest = float(self.sigmas.max())
        self.initial_scale = largest if self.spacing in ("linspace", "trailing") else (largest**2 + 1) ** 0.5

    def scale_input(self, sample: Array, index: int) -> Array:
        """Brings the sample to the variance that the UNet was trained on."""
        return float32(sample / (self.sigmas[index] ** 2 + 1) ** 0.5)

    def _slope(self, predicted: Array, index: int, sample: Array) -> Array:
        """The derivative of the sample by sigma."""
        sigma = float(self.sigmas[index])
        if self.prediction == "epsilon":
            return predicted
        clean = predicted * (-sigma / (sigma**2 + 1) ** 0.5) + sample / (sigma**2 + 1)
        return float32((sample - clean) / sigma)

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:  # noqa: ARG002
        """One Euler step."""
        change = self.sigmas[index + 1] - self.sigmas[index]
        return float32(sample + self._slope(predicted, index, sample) * change)


class EulerAncestral(Euler):
    """Each step goes further down than its place and comes back up with fresh noise."""

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:
        """Euler to ``down``, then noise of variance ``up`` squared."""
        here, there = float(self.sigmas[index]), float(self.sigmas[index + 1])
        up = (there**2 * (here**2 - there**2) / here**2) ** 0.5
        down = (there**2 - up**2) ** 0.5
        moved = sample + self._slope(predicted, index, sample) * (down - here)
        return float32(moved + noise.normal(sample.shape) * up)
