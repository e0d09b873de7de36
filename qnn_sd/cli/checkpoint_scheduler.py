"""What a checkpoint's ``scheduler_config.json`` makes of the scheduler that an image is asked with."""

from __future__ import annotations

from dataclasses import replace

from qnn_sd.cli.guidance_interval import remark_on_interval
from qnn_sd.console import Console
from qnn_sd.generate import Request
from qnn_sd.generate.schedulers import full_name, make_scheduler, remarks
from qnn_sd.pipeline import BuildPipeline


def with_checkpoints_scheduler(console: Console, request: Request, pipeline: BuildPipeline) -> Request:
    """The request with its scheduler's full name, before anything is built.

    Args:
        console: told which settings of the config are used, which aren't, and how often the UNet is called.
        request: what is generated.
        pipeline: whose checkpoint it is.

    Raises:
        SettingError: a number of steps that the scheduler can't do.
        UnsupportedModelError: the config asks it for a variant that isn't built; the hint names one that works.
    """
    config = pipeline.checkpoint.scheduler
    scheduler = make_scheduler(request.scheduler, config, request.steps)
    for line in remarks(request.scheduler, config):
        console.warn(line) if "zero terminal SNR" in line else console.say(line)
    remark_on_interval(console, request, scheduler, pipeline.passes(request.guidance))
    return replace(request, scheduler=full_name(request.scheduler, config))
