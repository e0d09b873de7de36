"""``--guidance-interval 0.2:0.9``: the part of the sampling steps that is guided."""

from __future__ import annotations

import re
from typing import Any

import click

from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.generate import Request
from qnn_sd.generate.guidance import ALL_STEPS, Interval, guided_steps, unet_calls
from qnn_sd.generate.schedulers import Scheduler

_INTERVAL = re.compile(r"(\d*\.?\d+)\s*(%?)\s*(?::|-|\.\.|,|\s)\s*(\d*\.?\d+)\s*(%?)")


class IntervalType(click.ParamType[Interval]):
    """Two fractions of the sampling steps, also in percent."""

    name = "interval"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 (click's)
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Interval:
        """Where guidance begins and ends.

        Raises:
            SettingError: it is spelled otherwise, or is no part of the steps.
        """
        if isinstance(value, tuple):
            return value
        found = _INTERVAL.fullmatch(str(value).strip())
        if found is not None:
            start, percent, end, also = found.groups()
            interval = _fraction(start, percent, also), _fraction(end, also, percent)
            if 0 <= interval[0] < interval[1] <= 1:
                return interval
        raise SettingError(
            f"--guidance-interval {value} is not possible",
            why="It is two fractions of the sampling steps, from 0 to 1: where guidance begins, and where it ends.",
            hint="Type START:END, such as --guidance-interval 0.2:0.9.",
        )


def _fraction(text: str, percent: str, others: str) -> float:
    """A fraction, or percent: by its own sign, or by the other number's where it can't be a fraction."""
    value = float(text)
    return value / 100 if percent or (others and value > 1) else value


def interval_text(interval: Interval) -> str:
    """An interval as it is typed."""
    return ":".join(repr(each).removesuffix(".0") for each in interval)


def remark_on_interval(console: Console, request: Request, scheduler: Scheduler, passes: int) -> None:
    """Says which steps are guided and how many UNet calls that leaves, where it isn't all of them.

    Args:
        console: where to.
        request: what is generated.
        scheduler: the request's.
        passes: of a guided step, 1 or 2.
    """
    if request.guidance_interval == ALL_STEPS:
        return
    if passes == 1:
        console.warn("--guidance-interval changes nothing: each step has one UNet pass without it")
        return
    guided = guided_steps(request.guidance_interval, request.steps)
    which = f"on steps {guided.start + 1} to {guided.stop} of {request.steps}" if guided else "on no step"
    if len(guided) == 1:
        which = f"on step {guided.stop} of {request.steps}"
    calls, most = (unet_calls(scheduler, passes, each) for each in (request.guidance_interval, ALL_STEPS))
    console.say(f"guidance {which}: {calls} UNet calls an image instead of {most}")
