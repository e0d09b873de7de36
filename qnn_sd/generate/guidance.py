"""Guidance on a part of the sampling steps, and how often the UNet is called then.

Kynkäänniemi et al. 2024 ("Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in
Diffusion Models") leave guidance out at the highest noise levels, where it narrows what is drawn, and at the lowest,
where it does nothing. They state the interval in noise levels. Here it is stated in fractions of the sampling steps, as
diffusers' guiders state it (``start``, ``stop``).
"""

from __future__ import annotations

import math

from qnn_sd.generate.schedulers import Scheduler

# Where guidance begins and ends, in fractions of the sampling steps.
Interval = tuple[float, float]
ALL_STEPS: Interval = (0.0, 1.0)


def guided_steps(interval: Interval, steps: int) -> range:
    """The sampling steps that are guided, counted from 0.

    Args:
        interval: fractions of the sampling steps.
        steps: how many there are.
    """
    # 0.29 of 100 steps are 29, whatever the product is in binary.
    start, end = (math.floor(each * steps + 1e-9) for each in interval)
    return range(start, end)


def unet_calls(scheduler: Scheduler, passes: int, interval: Interval) -> int:
    """How often the UNet is called for one image.

    Args:
        scheduler: some call the UNet several times in a step.
        passes: of a guided step, 1 or 2.
        interval: fractions of the sampling steps that are guided.
    """
    guided = guided_steps(interval, scheduler.steps)
    return sum(len(calls) * (passes if step in guided else 1) for step, calls in enumerate(scheduler.calls))
