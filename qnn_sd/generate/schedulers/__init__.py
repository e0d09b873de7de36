"""Samplers, step for step as diffusers has them, on numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qnn_sd.errors import UnknownSchedulerError, did_you_mean
from qnn_sd.generate.schedulers.base import Scheduler
from qnn_sd.generate.schedulers.ddim import Ddim
from qnn_sd.generate.schedulers.dpm import DpmPlusPlus2M
from qnn_sd.generate.schedulers.euler import Euler, EulerAncestral
from qnn_sd.generate.schedulers.lcm import Lcm

SCHEDULERS: Mapping[str, type[Scheduler]] = {
    "dpm++2m": DpmPlusPlus2M,
    "euler": Euler,
    "euler-a": EulerAncestral,
    "ddim": Ddim,
    "lcm": Lcm,
}


def known_scheduler(name: str) -> type[Scheduler]:
    """The scheduler of that name.

    Raises:
        UnknownSchedulerError: there is none; the nearest name is suggested.
    """
    if name not in SCHEDULERS:
        raise UnknownSchedulerError(f"Unknown scheduler {name!r}", hint=did_you_mean(name, SCHEDULERS))
    return SCHEDULERS[name]


def make_scheduler(name: str, config: Mapping[str, Any], steps: int) -> Scheduler:
    """A scheduler ready for its first step.

    Args:
        name: one of ``SCHEDULERS``.
        config: the checkpoint's ``scheduler_config.json``.
        steps: number of sampling steps.

    Raises:
        UnknownSchedulerError: no scheduler of that name.
        SettingError: a number of steps that it can't do.
        UnsupportedModelError: the config asks for a variant that isn't built.
    """
    return known_scheduler(name)(config, steps)


def scheduler_sources(name: str) -> tuple[str, ...]:
    """The files that a scheduler's code is in, relative to the package: its own, and those of the classes below it.

    Raises:
        UnknownSchedulerError: there is none of that name.
    """
    modules = sorted(
        {kind.__module__ for kind in known_scheduler(name).__mro__ if kind.__module__.startswith(__name__)}
    )
    return tuple(f"{module.partition('.')[2].replace('.', '/')}.py" for module in modules)


__all__ = ["SCHEDULERS", "Scheduler", "known_scheduler", "make_scheduler", "scheduler_sources"]
