"""What every scheduler needs: the noise schedule, the steps' places in it, and conversions.

A checkpoint's ``scheduler_config.json`` was written for one scheduler and is read by others. As
in diffusers, each looks at its own settings alone, and what the config leaves out is the reading scheduler's own
default; the noise schedule's is Stable Diffusion's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import SettingError
from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.noise_levels import alphas_cumulative
from qnn_sd.generate.schedulers.settings import flag, number, one_of, refuse

Array = NDArray[np.float32]

# Settings that some schedulers have and others don't, with the values at which they change nothing.
VARIANTS: Mapping[str, tuple[Any, ...]] = {
    "algorithm_type": ("dpmsolver++",),
    "euler_at_final": (False, None),
    "final_sigmas_type": ("zero",),
    "interpolation_type": ("linear",),
    "predict_x0": (True,),
    "rescale_betas_zero_snr": (False, None),
    "solver_order": (2,),
    "solver_type": ("midpoint", "bh2"),
    "thresholding": (False, None),
    "timestep_type": ("discrete",),
    "use_beta_sigmas": (False, None),
    "use_exponential_sigmas": (False, None),
    "use_flow_sigmas": (False, None),
    "use_karras_sigmas": (False, None),
    "use_lu_lambdas": (False, None),
    "variance_type": (None, "fixed_small", "fixed_large"),
}
LEVEL_SPACINGS = frozenset({"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"})


def float32(values: Any) -> Array:
    """Values as a float32 array: the steps compute with float64 coefficients."""
    return np.asarray(values, np.float32)


class Scheduler(ABC):
    """One sampler for one image size and number of steps; made anew for each image.

    Args:
        config: the checkpoint's ``scheduler_config.json``, without the variants of other schedulers (``own_config``).
        steps: number of sampling steps.

    Attributes:
        default_spacing: of the steps, where the config has none.
        variants: which of ``VARIANTS`` it has.
        least_alpha: with zero terminal SNR, the share of the signal after the last training step. A sampler that
            divides by it has a small one, as in diffusers.
        timesteps: [calls] float32, the times that the UNet is asked about: one for each step, more where a step
            needs more.
        initial_scale: standard deviation of the first sample.

    Raises:
        SettingError: a number of steps that it can't do.
        UnsupportedModelError: the config asks for a variant that isn't built.
    """

    default_spacing: ClassVar[str] = "leading"
    variants: ClassVar[frozenset[str]] = frozenset()
    least_alpha: ClassVar[float] = 0.0
    initial_scale: float = 1.0
    timesteps: Array

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        self.config, self.steps = config, steps
        self.train_steps = int(number(config, "num_train_timesteps", 1000))
        if not 1 <= steps <= self.train_steps:
            raise SettingError(f"{steps} steps are not possible", hint=f"Choose 1 to {self.train_steps} steps.")
        self.offset = int(number(config, "steps_offset", 0))
        self.spacing = config.get("timestep_spacing", self.default_spacing)
        self.prediction = one_of(config, "prediction_type", "epsilon", "v_prediction")
        if flag(config, "use_flow_sigmas"):
            refuse("use_flow_sigmas", True, (False,))
        self._thresholding = flag(config, "thresholding")
        self.alphas = alphas_cumulative(config, self.train_steps, self.least_alpha)
        self._prepare()

    @classmethod
    def own_config(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config without the variants that only other schedulers have."""
        return {key: value for key, value in config.items() if key in cls.variants or key not in VARIANTS}

    @classmethod
    def ignored(cls, config: Mapping[str, Any]) -> list[str]:
        """The settings of a config that change other schedulers' images and not this one's."""
        return [
            key
            for key, neutral in VARIANTS.items()
            if key in config and key not in cls.variants and config[key] not in neutral
        ]

    @property
    def calls(self) -> Sequence[range]:
        """For each sampling step, the indices in ``timesteps`` at which the UNet is called."""
        return [range(index, index + 1) for index in range(self.steps)]

    @abstractmethod
    def _prepare(self) -> None:
        """Sets ``timesteps`` and what the steps need."""

    def scale_input(self, sample: Array, index: int) -> Array:  # noqa: ARG002 (most don't scale)
        """What the UNet is given at call ``index`` for a sample."""
        return sample

    @abstractmethod
    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:
        """The next sample.

        Args:
            predicted: the UNet's (guided) output at call ``index``.
            index: 0 for the first call.
            sample: the current sample.
            noise: where a stochastic sampler takes its noise.
        """

    def spaced(self) -> NDArray[np.float64]:
        """The steps' places among the training steps, latest first (Lin et al. 2024, table 2).

        Raises:
            UnsupportedModelError: an unknown spacing.
        """
        if self.spacing == "linspace":
            return np.linspace(0, self.train_steps - 1, self.steps)[::-1]
        if self.spacing == "leading":
            ratio = self.train_steps // self.steps
            times = np.arange(self.steps)[::-1] * ratio + self.offset
            return np.minimum(times, self.train_steps - 1).astype(np.float64)
        return self.trailing()

    def trailing(self) -> NDArray[np.float64]:
        """Places spaced from the last training step backwards.

        Raises:
            UnsupportedModelError: an unknown spacing.
        """
        if self.spacing != "trailing":
            refuse("timestep_spacing", self.spacing, ("linspace", "leading", "trailing"))
        return np.arange(self.train_steps, 0, -self.train_steps / self.steps).round()[: self.steps] - 1

    def denoised(self, predicted: Array, sample: Array, alpha: float, sigma: float) -> tuple[Array, Array]:
        """The clean latent and the noise that a prediction implies.

        Args:
            predicted: the UNet's output.
            sample: what it was asked about.
            alpha: factor of the clean latent in the sample (root of the cumulative alpha).
            sigma: factor of the noise in the sample.
        """
        if self.prediction == "epsilon":
            return self._thresholded(float32((sample - sigma * predicted) / alpha)), predicted
        clean = self._thresholded(float32(alpha * sample - sigma * predicted))
        return clean, float32(alpha * predicted + sigma * sample)

    def _thresholded(self, clean: Array) -> Array:
        """Dynamic thresholding (Saharia et al. 2022), where the config has it."""
        if not self._thresholding:
            return clean
        ratio = number(self.config, "dynamic_thresholding_ratio", 0.995)
        limits = np.quantile(np.abs(clean.reshape(len(clean), -1)), ratio, axis=1)
        limit = np.clip(limits, 1, number(self.config, "sample_max_value", 1.0)).reshape(-1, *[1] * (clean.ndim - 1))
        return float32(np.clip(clean, -limit, limit) / limit)
