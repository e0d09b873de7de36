"""Noise levels: the training schedule of a checkpoint, and how the steps are spaced on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import UnsupportedModelError
from qnn_sd.generate.schedulers.settings import flag, number, optional_number, refuse

Array = NDArray[np.float32]
Levels = NDArray[np.float64]

BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
# The exponent of Karras et al. 2022, formula (5).
_RHO = 7.0


def betas_of(config: Mapping[str, Any], train_steps: int) -> Array:
    """Variance of the noise that each training step adds, [train_steps] (Ho et al. 2020).

    Raises:
        UnsupportedModelError: an unknown beta schedule, or betas that aren't one for each step.
    """
    if (trained := config.get("trained_betas")) is not None:
        try:
            betas = np.array(trained, np.float32)
        except (TypeError, ValueError):
            betas = np.empty(0, np.float32)
        if betas.shape != (train_steps,) or not np.isfinite(betas).all():
            raise UnsupportedModelError(
                f"trained_betas in scheduler_config.json aren't {train_steps:,} numbers",
                why="There is one for each of num_train_timesteps.",
                hint="Correct trained_betas in the checkpoint's scheduler_config.json.",
            )
        return betas
    start, end = number(config, "beta_start", 0.00085), number(config, "beta_end", 0.012)
    kind = config.get("beta_schedule", "scaled_linear")
    if kind == "linear":
        return np.linspace(start, end, train_steps, dtype=np.float32)
    if kind == "scaled_linear":
        return np.linspace(start**0.5, end**0.5, train_steps, dtype=np.float32) ** 2
    if kind != "squaredcos_cap_v2":
        refuse("beta_schedule", kind, BETA_SCHEDULES)

    # Nichol and Dhariwal 2021.
    def left(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    return np.array(
        [min(1 - left((i + 1) / train_steps) / left(i / train_steps), 0.999) for i in range(train_steps)],
        np.float32,
    )


def alphas_cumulative(config: Mapping[str, Any], train_steps: int, least: float = 0.0) -> Array:
    """Share of the signal left after each training step, [train_steps] (Ho et al. 2020).

    Computed in float32 with a float64 product, as torch does, to agree to the last digits.

    Args:
        config: the checkpoint's ``scheduler_config.json``.
        train_steps: how many training steps there are.
        least: what takes the place of the last share where it is none (zero terminal SNR).

    Raises:
        UnsupportedModelError: an unknown beta schedule.
    """
    betas = betas_of(config, train_steps)
    if not flag(config, "rescale_betas_zero_snr"):
        return _product(np.float32(1) - betas)
    alphas = _product(np.float32(1) - _with_zero_snr(betas))
    if least:
        alphas[-1] = least
    return alphas


def _product(alphas: Array) -> Array:
    return np.cumprod(alphas.astype(np.float64)).astype(np.float32)


def _with_zero_snr(betas: Array) -> Array:
    """Betas after whose last step no signal is left (Lin et al. 2024, algorithm 1)."""
    roots = np.sqrt(_product(np.float32(1) - betas))
    first, last = roots[0], roots[-1]
    shares = ((roots - last) * (first / (first - last))) ** 2
    return np.float32(1) - np.append(shares[:1], shares[1:] / shares[:-1])


def sigmas_of(alphas: Array) -> Array:
    """Noise by signal at each training step, [train_steps] float32."""
    return np.asarray(np.sqrt((np.float32(1) - alphas) / alphas), np.float32)


def times_of(sigmas: Levels, table: Array) -> Levels:
    """The places among the training steps that have these noise levels, between two where none has one.

    Args:
        sigmas: the levels.
        table: ``sigmas_of`` the training steps, ascending.
    """
    logs = np.log(table)
    return np.interp(np.log(np.maximum(sigmas, 1e-10)), logs, np.arange(len(logs)))


def karras(most: float, least: float, steps: int) -> Levels:
    """Levels whose seventh roots are evenly spaced (Karras et al. 2022, formula 5), the highest first."""
    ramp, low, high = np.linspace(0, 1, steps), least ** (1 / _RHO), most ** (1 / _RHO)
    return np.asarray((high + ramp * (low - high)) ** _RHO, np.float64)


def exponential(most: float, least: float, steps: int) -> Levels:
    """Levels whose logarithms are evenly spaced, the highest first."""
    return np.exp(np.linspace(math.log(most), math.log(least), steps))


def spaced_levels(config: Mapping[str, Any], highest: float, lowest: float, steps: int) -> Levels | None:
    """The levels of a spacing that goes by them; None where the steps are spaced by their times.

    Args:
        config: its ``use_..._sigmas``; ``sigma_max`` and ``sigma_min`` replace the ends.
        highest: level of the first step.
        lowest: level of the last step.
        steps: how many.

    Raises:
        UnsupportedModelError: several spacings at once, or one that isn't built.
    """
    names = [each for each in ("karras", "exponential", "beta") if flag(config, f"use_{each}_sigmas")]
    if "beta" in names:
        refuse("use_beta_sigmas", True, (False,))
    if len(names) > 1:
        raise UnsupportedModelError(
            "scheduler_config.json asks for two spacings at once",
            why=f"It has {' and '.join(f'use_{each}_sigmas' for each in names)}.",
            hint="Name the spacing with the scheduler: --scheduler dpm++2m-karras.",
        )
    if not names:
        return None
    most, least = optional_number(config, "sigma_max"), optional_number(config, "sigma_min")
    spaced = karras if names[0] == "karras" else exponential
    return spaced(highest if most is None else most, lowest if least is None else least, steps)
