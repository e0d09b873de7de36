"""DDIM (Song et al. 2021), deterministic."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from qnn_sd.errors import UnsupportedModelError
from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.base import Array, Scheduler, float32
from qnn_sd.generate.schedulers.settings import flag, number


class OnTrainingSteps(Scheduler):
    """A sampler whose times are training steps, and which may clip the clean latent."""

    variants: ClassVar[frozenset[str]] = frozenset({"rescale_betas_zero_snr", "thresholding"})

    def _settle(self) -> None:
        """Reads the settings, when ``timesteps`` are there.

        Raises:
            UnsupportedModelError: nothing is known of the clean latent at the first step.
        """
        if self.prediction == "epsilon" and not self.alphas[self.timesteps.astype(int)].all():
            # The noise is all of the sample there: predicting it says nothing of the image.
            name = type(self).__name__.lower()
            raise UnsupportedModelError(
                f"the checkpoint is of zero terminal SNR (rescale_betas_zero_snr): with epsilon, {name} can't begin at "
                "its last time",
                why="The first sample is noise alone there. ddim and lcm compute the image from predicted noise, and "
                "would divide by zero at the first step.",
                hint="Models of zero terminal SNR predict v as a rule.",
            )
        self._final = 1.0 if self.config.get("set_alpha_to_one", True) else float(self.alphas[0])

    def _clip_range(self, clips: bool) -> float | None:
        """Where the clean latent is clipped; None where it isn't, as dynamic thresholds take the range's place."""
        return number(self.config, "clip_sample_range", 1.0) if clips and not self._thresholding else None


def clipped(clean: Array, limit: float | None) -> Array:
    """A clean latent within plus and minus ``limit``; as it is where that is None."""
    return clean if limit is None else np.clip(clean, -limit, limit)


class Ddim(OnTrainingSteps):
    """Denoising diffusion implicit model with eta 0."""

    def _prepare(self) -> None:
        self.timesteps = self.spaced().round().astype(np.float32)
        self._settle()
        self._limit = self._clip_range(flag(self.config, "clip_sample", True))

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:  # noqa: ARG002
        """Formula (12) of the paper with sigma 0."""
        time = int(self.timesteps[index])
        before = time - self.train_steps // self.steps
        alpha = float(self.alphas[time])
        alpha_before = float(self.alphas[before]) if before >= 0 else self._final
        clean, direction = self.denoised(predicted, sample, alpha**0.5, (1 - alpha) ** 0.5)
        clean = clipped(clean, self._limit)
        return float32(alpha_before**0.5 * clean + (1 - alpha_before) ** 0.5 * direction)
