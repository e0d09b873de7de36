"""Euler's method on the noise level, plain and ancestral (Karras et al. 2022)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.base import LEVEL_SPACINGS, Array, Scheduler, float32
from qnn_sd.generate.schedulers.noise_levels import sigmas_of, spaced_levels, times_of
from qnn_sd.generate.schedulers.settings import flag, number, one_of


class NoiseLevels(Scheduler):
    """A sampler whose samples are clean latent plus sigma times noise."""

    default_spacing: ClassVar[str] = "linspace"

    def _places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times and noise levels of the steps; times may lie between training steps: sigma is interpolated."""
        times = self.spaced()
        all_sigmas = np.sqrt((1 - self.alphas.astype(np.float64)) / self.alphas)
        levels = np.interp(times.astype(np.float32), np.arange(self.train_steps), all_sigmas)
        spaced = spaced_levels(self.config, float(levels[0]), float(levels[-1]), self.steps)
        return (times, levels) if spaced is None else (times_of(spaced, sigmas_of(self.alphas)), spaced)

    def _start(self) -> float:
        """Standard deviation of the first sample."""
        largest = float(self.sigmas.max())
        return largest if self.spacing in ("linspace", "trailing") else (largest**2 + 1) ** 0.5

    sigmas: NDArray[np.float64]

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


class Euler(NoiseLevels):
    """One Euler step from sigma to sigma."""

    variants: ClassVar[frozenset[str]] = LEVEL_SPACINGS | {
        *("final_sigmas_type", "interpolation_type", "rescale_betas_zero_snr", "timestep_type"),
    }
    least_alpha: ClassVar[float] = 2**-24

    def _prepare(self) -> None:
        one_of(self.config, "interpolation_type", "linear")
        # Of another type are times of a v prediction alone.
        if self.prediction == "v_prediction":
            one_of(self.config, "timestep_type", "discrete")
        times, levels = self._places()
        self.timesteps = times.astype(np.float32)
        ends_at_none = one_of(self.config, "final_sigmas_type", "zero", "sigma_min") == "zero"
        least = ((1 - float(self.alphas[0])) / float(self.alphas[0])) ** 0.5
        self.sigmas = np.append(levels, 0.0 if ends_at_none else least)
        self.initial_scale = self._start()

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:  # noqa: ARG002
        """One Euler step."""
        change = self.sigmas[index + 1] - self.sigmas[index]
        return float32(sample + self._slope(predicted, index, sample) * change)


class EulerAncestral(Euler):
    """Each step goes further down than its place and comes back up with fresh noise."""

    variants: ClassVar[frozenset[str]] = frozenset({"rescale_betas_zero_snr"})

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:
        """Euler to ``down``, then noise of variance ``up`` squared."""
        here, there = float(self.sigmas[index]), float(self.sigmas[index + 1])
        up = (there**2 * (here**2 - there**2) / here**2) ** 0.5
        down = (there**2 - up**2) ** 0.5
        moved = sample + self._slope(predicted, index, sample) * (down - here)
        return float32(moved + noise.normal(sample.shape) * up)


class Heun(NoiseLevels):
    """Heun's method (Karras et al. 2022, algorithm 1): Euler to the step's end, then again with the mean slope.

    So each step calls the UNet twice. The last one, which ends without noise, is Euler's.
    """

    variants: ClassVar[frozenset[str]] = LEVEL_SPACINGS

    def _prepare(self) -> None:
        times, levels = self._places()
        self.timesteps = np.append(times[:1], times[1:].repeat(2)).astype(np.float32)
        self.sigmas = float32(np.append(np.append(levels[:1], levels[1:].repeat(2)), 0.0)).astype(np.float64)
        self.initial_scale = self._start()
        self._clips = flag(self.config, "clip_sample")
        self._begun: tuple[Array, Array] | None = None

    @property
    def calls(self) -> list[range]:
        """Two for each step but the last."""
        return [range(2 * step, min(2 * step + 2, 2 * self.steps - 1)) for step in range(self.steps)]

    def _slope(self, predicted: Array, index: int, sample: Array) -> Array:
        # By way of the clean latent, in float32: at a low noise level its rounding shows, and diffusers has it too.
        sigma = float(self.sigmas[index])
        clean = float32(sample - sigma * super()._slope(predicted, index, sample))
        if self._clips:
            limit = number(self.config, "clip_sample_range", 1.0)
            clean = np.clip(clean, -limit, limit)
        return float32((sample - clean) / sigma)

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:  # noqa: ARG002
        """Half a step: to its end first, then with the slope there."""
        slope = self._slope(predicted, index, sample)
        if self._begun is None:
            width = float(self.sigmas[index + 1] - self.sigmas[index])
            self._begun = sample, slope
        else:
            sample, first = self._begun
            width = float(self.sigmas[index] - self.sigmas[index - 1])
            slope, self._begun = float32((first + slope) / 2), None
        return float32(sample + slope * width)
