"""Samplers, step for step as diffusers has them, on numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qnn_sd.errors import SettingError, UnsupportedModelError
from qnn_sd.generate.schedulers.base import Scheduler
from qnn_sd.generate.schedulers.config_checks import check, check_times
from qnn_sd.generate.schedulers.ddim import Ddim
from qnn_sd.generate.schedulers.names import (
    SAMPLERS,
    SPACINGS,
    all_names,
    scheduler_named,
    spacings_of,
    split_name,
)
from qnn_sd.generate.schedulers.settings import flag

# What may take a scheduler's place where a checkpoint's config asks it for what isn't built.
_OTHERS = ("dpm++2m", "euler", "euler-a", "unipc", "heun", "ddim")
# What every scheduler's code calls beside its own classes.
_SHARED = ("noise_levels", "settings")


def known_scheduler(name: str) -> type[Scheduler]:
    """The class of a scheduler, however its name is spelled.

    Raises:
        UnknownSchedulerError: as ``scheduler_named`` does.
    """
    return SAMPLERS[split_name(scheduler_named(name))[0]].kind


def make_scheduler(name: str, config: Mapping[str, Any], steps: int) -> Scheduler:
    """A scheduler ready for its first step.

    Args:
        name: a sampler with or without a spacing, as ``scheduler_named`` reads it. What it says counts more than the
            config.
        config: the checkpoint's ``scheduler_config.json``.
        steps: number of sampling steps.

    Raises:
        UnknownSchedulerError: no scheduler of that name.
        SettingError: a number of steps that it can't do.
        UnsupportedModelError: the config asks for a variant that isn't built; a scheduler that works is named.
    """
    name = scheduler_named(name)
    try:
        return _made(name, config, steps)
    except UnsupportedModelError as error:
        other = next(_that_take(name, config), None)
        if other is None:
            raise
        raise UnsupportedModelError(
            error.what, why=error.why, hint=f"Choose a scheduler that works with it: --scheduler {other}"
        ) from error


def _made(name: str, config: Mapping[str, Any], steps: int) -> Scheduler:
    sampler, spacing = split_name(name)
    kind, settings = SAMPLERS[sampler].kind, SAMPLERS[sampler].settings
    own = {**kind.own_config(config), **settings, **SPACINGS.get(spacing, {})}
    check(own)
    made = kind(own, steps)
    check_times(made.timesteps)
    return made


def _that_take(name: str, config: Mapping[str, Any]) -> Iterator[str]:
    """The schedulers that can be made with a config: with the same sampler first."""
    sampler, _ = split_name(name)
    own = [f"{sampler}-sgm-uniform"] if "sgm-uniform" in spacings_of(sampler) else []
    for each in (*own, *_OTHERS):
        try:
            _made(each, config, 20)
        except UnsupportedModelError:
            continue
        yield each


def workable_scheduler(name: str, config: Mapping[str, Any]) -> str:
    """The same name, or the nearest scheduler that a checkpoint's config lets be made; the same name if there is none.

    Args:
        name: as ``scheduler_named`` reads it.
        config: the checkpoint's ``scheduler_config.json``.
    """
    name = scheduler_named(name)
    try:
        _made(name, config, 1)
    except UnsupportedModelError:
        return next(_that_take(name, config), name)
    except SettingError:  # of the number of steps alone
        return name
    return name


def full_name(name: str, config: Mapping[str, Any]) -> str:
    """A scheduler's name with what the checkpoint's config makes of it.

    Args:
        name: as ``scheduler_named`` makes it.
        config: the checkpoint's ``scheduler_config.json``.

    Returns:
        Such as ``dpm++2m-sde-karras`` for ``dpm++2m`` where the config has ``sde-dpmsolver++`` and
        ``use_karras_sigmas``; the same name where the config has nothing of the kind.
    """
    sampler, spacing = split_name(name)
    kind = SAMPLERS[sampler].kind
    own = kind.own_config(config)
    if sampler == "dpm++2m" and own.get("algorithm_type") == "sde-dpmsolver++":
        order, solver = own.get("solver_order", 2), own.get("solver_type", "midpoint")
        sampler = {(2, "heun"): "dpm++2m-sde-heun", (3, "midpoint"): "dpm++3m-sde"}.get((order, solver), "dpm++2m-sde")
    elif sampler == "dpm++2m" and own.get("solver_order") == 3:
        sampler = "dpm++3m"
    if not spacing:
        spacing = next((each for each in ("karras", "exponential", "lu") if _asks_for(own, each)), "")
    return f"{sampler}-{spacing}" if spacing and spacing in spacings_of(sampler) else sampler


def _asks_for(config: Mapping[str, Any], spacing: str) -> bool:
    return flag(config, "use_lu_lambdas" if spacing == "lu" else f"use_{spacing}_sigmas")


def warning_of_snr(name: str, config: Mapping[str, Any]) -> str | None:
    """What to warn of where a scheduler doesn't know the zero terminal SNR that a config asks for.

    Args:
        name: as ``scheduler_named`` makes it.
        config: the checkpoint's ``scheduler_config.json``.
    """
    if "rescale_betas_zero_snr" not in known_scheduler(name).ignored(config):
        return None
    return (
        f"{name} has no zero terminal SNR (rescale_betas_zero_snr), which the checkpoint was trained with: light "
        "and dark images come out grey, as with diffusers. dpm++2m, unipc, euler, euler-a, ddim and lcm have it"
    )


def remarks(name: str, config: Mapping[str, Any]) -> list[str]:
    """What to tell of a scheduler that reads a checkpoint's config, in lines.

    Args:
        name: as ``scheduler_named`` makes it.
        config: the checkpoint's ``scheduler_config.json``.
    """
    warning = warning_of_snr(name, config)
    lines = [] if warning is None else [warning]
    ignored = [each for each in known_scheduler(name).ignored(config) if each != "rescale_betas_zero_snr"]
    if ignored:
        whose = config.get("_class_name", "another scheduler")
        lines.append(
            f"{name} ignores {', '.join(ignored)} of the checkpoint's scheduler_config.json, which is for {whose}, as "
            "diffusers does"
        )
    if known_scheduler(name) is Ddim and "clip_sample" not in config:
        lines.append(
            f"{name} clips the clean latent, its default where scheduler_config.json doesn't say clip_sample, as "
            "diffusers does: colours come out flat. Other schedulers don't"
        )
    if (full := full_name(name, config)) != name:
        lines.append(f"with the settings of the checkpoint's scheduler_config.json, {name} is {full}")
    return lines


def scheduler_sources(name: str) -> tuple[str, ...]:
    """The files that a scheduler's code is in, relative to the package: its own, those of the classes below it, and
    what they call.

    Raises:
        UnknownSchedulerError: there is none of that name.
    """
    modules = {kind.__module__ for kind in known_scheduler(name).__mro__ if kind.__module__.startswith(__name__)}
    modules |= {f"{__name__}.{each}" for each in _SHARED}
    return tuple(f"{module.partition('.')[2].replace('.', '/')}.py" for module in sorted(modules))


# By name, for help, completion and tests.
SCHEDULERS: Mapping[str, type[Scheduler]] = {name: sampler.kind for name, sampler in SAMPLERS.items()}

__all__ = [
    "SAMPLERS",
    "SCHEDULERS",
    "SPACINGS",
    "Scheduler",
    "all_names",
    "full_name",
    "known_scheduler",
    "make_scheduler",
    "remarks",
    "scheduler_named",
    "scheduler_sources",
    "spacings_of",
    "split_name",
    "warning_of_snr",
    "workable_scheduler",
]
