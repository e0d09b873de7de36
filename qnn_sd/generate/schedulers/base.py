"""What every scheduler needs: the noise schedule, the steps' places in it, and conversions.

A checkpoint's ``scheduler_config.json`` was written for one scheduler and is read by others. As
in diffusers, what it leaves out is the reading scheduler's own default; the noise schedule's is Stable Diffusion's.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import SettingError, UnsupportedModelError
from qnn_sd.generate.noise import TorchNoise

Array = NDArray[np.float32]

# Variants that aren't built: only these values leave a scheduler as it is.
_ONLY: Mapping[str, tuple[Any, ...]] = {
    "algorithm_type": ("dpmsolver++",),
    "final_sigmas_type": ("zero",),
    "interpolation_type": ("linear",),
    "rescale_betas_zero_snr": (False,),
    "solver_order": (2,),
    "solver_type": ("midpoint",),
    "thresholding": (False,),
    "timestep_type": ("discrete",),
    "trained_betas": (None,),
    "use_beta_sigmas": (False, None),
    "use_exponential_sigmas": (False, None),
    "use_flow_sigmas": (False, None),
    "use_karras_sigmas": (False, None),
    "use_lu_lambdas": (False, None),
}


def float32(values: Any) -> Array:
    """Values as a float32 array: the steps compute with float64 coefficients."""
    return np.asarray(values, np.float32)


def number(config: Mapping[str, Any], key: str, default: float) -> float:
    """A number in a scheduler's config.

    Raises:
        UnsupportedModelError: it is there and no finite number.
    """
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnsupportedModelError(
            f"{key} is {value!r} in scheduler_config.json, which is no number",
            hint=f"Correct {key} in the checkpoint's scheduler_config.json.",
        )
    return value


def alphas_cumulative(config: Mapping[str, Any], train_steps: int) -> Array:
    """Share of the signal left after each training step, [train_steps] (Ho et al. 2020).

    Computed in float32 with a float64 product, as torch does, to agree to the last digits.

    Raises:
        UnsupportedModelError: an unknown beta schedule.
    """
    start, end = number(config, "beta_start", 0.00085), number(config, "beta_end", 0.012)
    kind = config.get("beta_schedule", "scaled_linear")
    if kind == "linear":
        betas = np.linspace(start, end, train_steps, dtype=np.float32)
    elif kind == "scaled_linear":
        betas = np.linspace(start**0.5, end**0.5, train_steps, dtype=np.float32) ** 2
    elif kind == "squaredcos_cap_v2":
        # Nichol and Dhariwal 2021.
        def left(t: float) -> float:
            return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

        betas = np.array(
            [min(1 - left((i + 1) / train_steps) / left(i / train_steps), 0.999) for i in range(train_steps)],
            np.float32,
        )
    else:
        raise UnsupportedModelError(
            f"beta_schedule is {kind!r} in scheduler_config.json, which qnn-sd doesn't build",
            why="It builds: linear, scaled_linear, squaredcos_cap_v2.",
            hint="Correct beta_schedule in the checkpoint's scheduler_config.json.",
        )
    return np.cumprod((np.float32(1) - betas).astype(np.float64)).astype(np.float32)


class Scheduler(ABC):
    """One sampler for one image size and number of steps; made anew for each image.

    Args:
        config: the checkpoint's ``scheduler_config.json``.
        steps: number of sampling steps.

    Attributes:
        timesteps: [steps] float32, the times that the UNet is asked about.

    Raises:
        SettingError: a number of steps that it can't do.
        UnsupportedModelError: the config asks for a variant that isn't built.
    """

    default_spacing: ClassVar[str] = "leading"
    initial_scale: float = 1.0
    timesteps: Array

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        for key, accepted in _ONLY.items():
            if key in config and config[key] not in accepted:
                raise UnsupportedModelError(
                    f"{key} is {config[key]!r} in scheduler_config.json, which qnn-sd doesn't build",
                    why=f"It builds: {', '.join(map(repr, accepted))}.",
                    hint=f"Take {key} out of the checkpoint's scheduler_config.json.",
                )
        self.config, self.steps = config, steps
        self.train_steps = int(number(config, "num_train_timesteps", 1000))
        if not 1 <= steps <= self.train_steps:
            raise SettingError(f"{steps} steps are not possible", hint=f"Choose 1 to {self.train_steps} steps.")
        self.offset = int(number(config, "steps_offset", 0))
        self.spacing = config.get("timestep_spacing", self.default_spacing)
        self.prediction = config.get("prediction_type", "epsilon")
        if self.prediction not in ("epsilon", "v_prediction"):
            raise UnsupportedModelError(
                f"prediction_type is {self.prediction!r} in scheduler_config.json, which qnn-sd doesn't build",
                why="It builds: epsilon, v_prediction.",
                hint="Correct prediction_type in the checkpoint's scheduler_config.json.",
            )
        self.alphas = alphas_cumulative(config, self.train_steps)
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Sets ``timesteps`` and what the steps need."""

    def scale_input(self, sample: Array, index: int) -> Array:  # noqa: ARG002 (most don't scale)
        """What the UNet is given at step ``index`` for a sample."""
        return sample

    @abstractmethod
    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:
        """The next sample.

        Args:
            predicted: the UNet's (guided) output at step ``index``.
            index: 0 for the first step.
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
            raise UnsupportedModelError(
                f"timestep_spacing is {self.spacing!r} in scheduler_config.json, which qnn-sd doesn't build",
                why="It builds: linspace, leading, trailing.",
                hint="Correct timestep_spacing in the checkpoint's scheduler_config.json.",
            )
        return np.arange(self.train_steps, 0, -self.train_steps / self.steps).round()[: self.steps] - 1

    def denoised(self, predicted: Array, sample: Array, alpha: float, sigma: float) -> tuple[Array, Array]:
        """The clean latent and the noise that a prediction implies.

        Args:
            alpha: factor of the clean latent in the sample (root of the cumulative alpha).
            sigma: factor of the noise in the sample.
        """
        if self.prediction == "epsilon":
            return float32((sample - sigma * predicted) / alpha), predicted
        return float32(alpha * sample - sigma * predicted), float32(alpha * predicted + sigma * sample)
