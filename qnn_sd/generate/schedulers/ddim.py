"""DDIM (Song et al. 2021), deterministic."""

from __future__ import annotations

import numpy as np

from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.base import Array, Scheduler, float32, number


class Ddim(Scheduler):
    """Denoising diffusion implicit model with eta 0."""

    def _prepare(self) -> None:
        self.timesteps = self.spaced().round().astype(np.float32)
        to_one = self.config.get("set_alpha_to_one", True)
        self._final = 1.0 if to_one else float(self.alphas[0])
        self._clip = bool(self.config.get("clip_sample", True))
        self._clip_range = number(self.config, "clip_sample_range", 1.0)

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:  # noqa: ARG002
        """Formula (12) of the paper with sigma 0."""
        time = int(self.timesteps[index])
        before = time - self.train_steps // self.steps
        alpha = float(self.alphas[time])
        alpha_before = float(self.alphas[before]) if before >= 0 else self._final
        clean, direction = self.denoised(predicted, sample, alpha**0.5, (1 - alpha) ** 0.5)
        if self._clip:
            clean = np.clip(clean, -self._clip_range, self._clip_range)
        return float32(alpha_before**0.5 * clean + (1 - alpha_before) ** 0.5 * direction)
