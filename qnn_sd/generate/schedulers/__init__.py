"""Samplers, step for step as diffusers has them, on numpy."""

from __future__ import annotations

import re
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


# What else they are called: by diffusers' classes, k-diffusion, AUTOMATIC1111's and ComfyUI's menus.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "dpm++2m": ("dpmpp2m", "kdpm++2m", "kdpmpp2m", "dpmsolver++", "dpmsolvermultistep", "dpmplusplus2m"),
    "euler": ("keuler", "eulerdiscrete"),
    "euler-a": ("eulera", "keulera", "eulerancestral", "keulerancestral", "eulerancestraldiscrete"),
    "ddim": (),
    "lcm": (),
}
# Parts of names that others have: of other samplers, and of other noise levels for these.
_NOT_BUILT = (
    *("karras", "exponential", "sgm", "simple", "beta", "align", "sde", "heun", "pndm", "plms", "lms", "ddpm", "unipc"),
    *("dpm2", "dpmpp2s", "dpm++2s", "dpmpp3m", "dpm++3m", "dpmsolversingle", "dpmfast", "dpmadaptive", "deis", "tcd"),
    *("restart", "cfgpp", "cfg++", "ipndm", "edm", "vqdiffusion", "flowmatch", "turbo", "lightning"),
)


def scheduler_named(name: str) -> str:
    """The name in ``SCHEDULERS`` of a scheduler that people spell in many ways.

    Args:
        name: such as ``DPM++ 2M``, ``dpmpp_2m``, ``Euler a`` or ``EulerDiscreteScheduler``.

    Raises:
        UnknownSchedulerError: there is none of that name, or one that isn't built, which is said.
    """
    key = re.sub(r"[\s_\-]", "", name.lower()).removesuffix("scheduler")
    for own, others in _ALIASES.items():
        if key in (own.replace("-", ""), *others):
            return own
    if any(part in key for part in _NOT_BUILT):
        raise UnknownSchedulerError(f"The scheduler {name!r} isn't built", hint=f"Choose {', '.join(SCHEDULERS)}.")
    raise UnknownSchedulerError(f"Unknown scheduler {name!r}", hint=did_you_mean(name, SCHEDULERS))


def known_scheduler(name: str) -> type[Scheduler]:
    """The scheduler of that name, however it is spelled.

    Raises:
        UnknownSchedulerError: as ``scheduler_named`` does.
    """
    return SCHEDULERS[scheduler_named(name)]


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


__all__ = [
    "SCHEDULERS",
    "Scheduler",
    "known_scheduler",
    "make_scheduler",
    "scheduler_named",
    "scheduler_sources",
]
