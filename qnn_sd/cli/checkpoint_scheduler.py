"""What a checkpoint's ``scheduler_config.json`` makes of the scheduler that an image is asked with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click

from qnn_sd.bundle_manifest import Bundle
from qnn_sd.cli.command_line import is_typed
from qnn_sd.cli.guidance_interval import remark_on_interval
from qnn_sd.console import Console
from qnn_sd.errors import UnsupportedModelError
from qnn_sd.generate import Request
from qnn_sd.generate.schedulers import full_name, known_scheduler, make_scheduler, remarks, warning_of_snr
from qnn_sd.generate.schedulers.base import Scheduler
from qnn_sd.generate.schedulers.lcm import Lcm

# With more, latents of a model that isn't a latent consistency model leave the range that calibration saw.
_MOST_LCM_GUIDANCE = 2
# Of the signal in the first sample: an error of epsilon is multiplied by the inverse of its root.
_NO_SIGNAL = 1e-5


def with_checkpoints_scheduler(
    console: Console, request: Request, config: Mapping[str, Any], passes: Callable[[float], int]
) -> Request:
    """The request with its scheduler's full name, before anything is built.

    Args:
        console: told which settings of the config are used, which aren't, and how often the UNet is called.
        request: what is generated.
        config: the checkpoint's ``scheduler_config.json``.
        passes: of the UNet in a guided step, by the guidance scale.

    Raises:
        SettingError: a number of steps that the scheduler can't do.
        UnsupportedModelError: the config asks it for a variant that isn't built; the hint names one that works.
    """
    scheduler = _scheduler(request, config)
    warning = warning_of_snr(request.scheduler, config)
    for line in remarks(request.scheduler, config):
        tell = console.warn if line == warning else console.say
        tell(line)
    remark_on_interval(console, request, scheduler, passes(request.guidance))
    return replace(request, scheduler=full_name(request.scheduler, config))


def _scheduler(request: Request, config: Mapping[str, Any]) -> Scheduler:
    """The scheduler; a typed ``--prediction`` is blamed first where it alone is in the way.

    Raises:
        SettingError, UnsupportedModelError: as ``make_scheduler`` does.
    """
    try:
        return make_scheduler(request.scheduler, config, request.steps)
    except UnsupportedModelError as error:
        context = click.get_current_context(silent=True)
        if context is None or not is_typed(context, "prediction") or not _takes_v(request, config):
            raise
        hint = f"Leave --prediction {context.params['prediction']} out. Or {error.hint[:1].lower()}{error.hint[1:]}"
        raise UnsupportedModelError(error.what, why=error.why, hint=hint) from error


def _takes_v(request: Request, config: Mapping[str, Any]) -> bool:
    try:
        make_scheduler(request.scheduler, {**config, "prediction_type": "v_prediction"}, request.steps)
    except UnsupportedModelError:
        return False
    return True


def quantized_warning(request: Request, bundle: Bundle) -> str | None:
    """What to expect of a scheduler that feeds quantized graphs what calibration didn't see, or magnifies their error.

    Args:
        request: what is generated.
        bundle: with what.
    """
    if all(part.kind == "float" for part in bundle.components.values()):
        return None
    is_lcm = bundle.scheduler.get("_class_name") == "LCMScheduler" or bundle.time_cond_proj_dim is not None
    if known_scheduler(request.scheduler) is Lcm and not is_lcm and request.guidance > _MOST_LCM_GUIDANCE:
        return (
            f"lcm with guidance {request.guidance:g}: latents go beyond the range that the graphs are calibrated for "
            f"(the checkpoint isn't a latent consistency model), and the image differs more from the float model's. "
            f"With an LCM LoRA, --guidance 1 to {_MOST_LCM_GUIDANCE} is usual"
        )
    scheduler = make_scheduler(request.scheduler, bundle.scheduler, request.steps)
    if scheduler.prediction == "epsilon" and scheduler.alphas[int(scheduler.timesteps[0])] < _NO_SIGNAL:
        return (
            "epsilon with zero terminal SNR: the first step multiplies what the UNet answers, and the error of "
            "quantized graphs, by thousands. Expect an image unlike the float model's"
        )
    return None
