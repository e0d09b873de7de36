"""Latent consistency models (Luo et al. 2023): a few steps of a distilled checkpoint."""

from __future__ import annotations

import numpy as np

from qnn_sd.errors import SettingError
from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.base import Array, float32
from qnn_sd.generate.schedulers.ddim import OnTrainingSteps, clipped
from qnn_sd.generate.schedulers.settings import flag, number, refuse

SIGMA_DATA = 0.5  # of the consistency function's boundary condition, as in the paper


class Lcm(OnTrainingSteps):
    """Jumps to the clean latent and noises it again, step by step."""

    def _prepare(self) -> None:
        distilled = int(number(self.config, "original_inference_steps", 50))
        if not 1 <= distilled <= self.train_steps:
            refuse("original_inference_steps", distilled, (f"1 to {self.train_steps}",))
        if self.steps > distilled:
            raise SettingError(
                f"{self.steps} steps are not possible with lcm",
                why=f"The checkpoint was distilled for {distilled} times.",
                hint=f"Choose 1 to {distilled} steps (4 to 8 are usual), or another scheduler.",
            )
        places = np.arange(1, distilled + 1) * (self.train_steps // distilled) - 1
        chosen = np.floor(np.linspace(0, distilled, self.steps, endpoint=False)).astype(int)
        self.timesteps = places[::-1][chosen].astype(np.float32)
        self._settle()
        self._scaling = number(self.config, "timestep_scaling", 10.0)
        self._limit = self._clip_range(flag(self.config, "clip_sample"))

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:
        """The consistency function, then noise for the next time; none after the last step."""
        time = int(self.timesteps[index])
        alpha = float(self.alphas[time])
        clean, _ = self.denoised(predicted, sample, alpha**0.5, (1 - alpha) ** 0.5)
        clean = clipped(clean, self._limit)
        scaled = time * self._scaling
        skip = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
        out = scaled / (scaled**2 + SIGMA_DATA**2) ** 0.5
        result = out * clean + skip * sample
        if index == self.steps - 1:
            return float32(result)
        there = int(self.timesteps[index + 1])
        alpha = float(self.alphas[there]) if there >= 0 else self._final
        return float32(alpha**0.5 * result + (1 - alpha) ** 0.5 * noise.normal(sample.shape))
