"""Checks of a checkpoint's ``scheduler_config.json`` before a scheduler computes with it.

They refuse values with which no scheduler, or not this one, has a finite result. diffusers paints noise or black with
them, or fails somewhere inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import UnsupportedModelError
from qnn_sd.generate.schedulers.noise_levels import betas_of
from qnn_sd.generate.schedulers.settings import number, optional_number

_MOST_TRAIN_STEPS = 100_000  # a hundred times as many as any model has; tables of this length are built
_AS_PUBLISHED = "Get the checkpoint's scheduler_config.json as its author published it."


def check(config: Mapping[str, Any]) -> None:
    """Refuses what can't be computed with.

    Args:
        config: with the settings of the reading scheduler alone.

    Raises:
        UnsupportedModelError: a value that makes no noise schedule, or no spacing.
    """
    try:
        train_steps = number(config, "num_train_timesteps", 1000)
        if not 1 <= train_steps <= _MOST_TRAIN_STEPS or train_steps != int(train_steps):
            _refuse("num_train_timesteps", train_steps, f"a whole number from 1 to {_MOST_TRAIN_STEPS:,}")
        offset = number(config, "steps_offset", 0)
        if not 0 <= offset <= train_steps or offset != int(offset):
            _refuse("steps_offset", offset, f"a whole number from 0 to {train_steps:.0f}")
        _check_betas(config, int(train_steps))
    except UnsupportedModelError as error:
        if not error.hint.startswith("Correct "):
            raise
        raise UnsupportedModelError(error.what, why=error.why, hint=_AS_PUBLISHED) from error
    if any(config.get(f"use_{each}_sigmas") for each in ("karras", "exponential")):
        for key in ("sigma_min", "sigma_max"):
            level = optional_number(config, key)
            if level is not None and not 0 < level < 1e6:
                _refuse(key, level, "over 0, and less than a million")


def check_times(times: NDArray[np.float32]) -> None:
    """Refuses settings that leave no times to sample at, such as a ``lambda_min_clipped`` that cuts all.

    Args:
        times: of a scheduler that was made.

    Raises:
        UnsupportedModelError: one is none of the training steps.
    """
    if not np.isfinite(times).all() or times.min() < 0:
        _refuse("a time of the UNet", f"{times.min():g}", "one of the training steps, which begin at 0")


def _check_betas(config: Mapping[str, Any], train_steps: int) -> None:
    for key in ("beta_start", "beta_end"):
        if config.get("trained_betas") is None and not 0 < number(config, key, 0.001) < 1:
            _refuse(key, config[key], "over 0, and less than 1")
    betas = betas_of(config, train_steps)
    if not (np.isfinite(betas).all() and betas.min() > 0 and betas.max() <= 1):
        _refuse("trained_betas", f"from {betas.min():.3g} to {betas.max():.3g}", "over 0, and at most 1")


def _refuse(key: str, value: Any, right: str) -> None:
    raise UnsupportedModelError(
        f"{key} is {value} in scheduler_config.json, which no sampling can be computed with",
        why=f"It must be {right}.",
        hint=_AS_PUBLISHED,
    )
