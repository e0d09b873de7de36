"""What solvers that extrapolate from their last predictions have in common: DPM-Solver++, UniPC and DEIS."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from qnn_sd.generate.schedulers.base import LEVEL_SPACINGS, Array, Scheduler
from qnn_sd.generate.schedulers.noise_levels import sigmas_of, spaced_levels, times_of
from qnn_sd.generate.schedulers.settings import one_of, refuse

# diffusers lowers the order of the last steps only where there are fewer.
_FEW_STEPS = 15


class Multistep(Scheduler):
    """A solver of the variance-preserving form: alpha^2 + sigma^2 = 1, their ratio is the noise level."""

    default_spacing: ClassVar[str] = "linspace"
    variants: ClassVar[frozenset[str]] = LEVEL_SPACINGS | {"use_flow_sigmas", "thresholding", "solver_order"}

    def _prepare(self) -> None:
        self.order = int(one_of(self.config, "solver_order", 2, 1, 3))
        self.timesteps, levels = self._places()
        ratios = np.append(levels, self._final_level(levels))
        self._alphas = 1 / np.sqrt(1 + ratios**2)
        self._sigmas = ratios * self._alphas
        # Of the steps before, the last one last.
        self._outputs: list[Array] = []

    def _places(self) -> tuple[Array, NDArray[np.float64]]:
        """Times and noise levels of the steps; times are whole numbers, as diffusers rounds them."""
        table = sigmas_of(self.alphas)
        levels = spaced_levels(self.config, float(table[-1]), float(table[0]), self.steps)
        if levels is not None:
            times = times_of(levels, table)
            return np.trunc(times.round() if self._rounds_times() else times).astype(np.float32), levels
        times = self.spaced()
        all_sigmas = np.sqrt((1 - self.alphas.astype(np.float64)) / self.alphas)
        return times.astype(np.float32), np.interp(times, np.arange(self.train_steps), all_sigmas)

    def _rounds_times(self) -> bool:
        """Whether times of spaced levels are rounded, or cut off."""
        return bool(self.config.get("use_karras_sigmas"))

    def _final_level(self, levels: NDArray[np.float64]) -> float:
        """Noise that the last step leaves."""
        if one_of(self.config, "final_sigmas_type", "zero", "sigma_min") == "zero":
            return 0.0
        return self._least_level(levels)

    def _least_level(self, levels: NDArray[np.float64]) -> float:  # noqa: ARG002 (of a subclass)
        return math.sqrt((1 - float(self.alphas[0])) / float(self.alphas[0]))

    def spaced(self) -> NDArray[np.float64]:
        """As the base, but linspace and leading divide into one step more and drop the last."""
        used = self._used_steps()
        if self.spacing == "linspace":
            return np.linspace(0, used - 1, self.steps + 1).round()[:0:-1]
        if self.spacing == "leading":
            ratio = used // (self.steps + 1)
            return (np.arange(self.steps + 1)[:0:-1] * ratio + self.offset).astype(np.float64)
        if used < self.train_steps:
            refuse("lambda_min_clipped with timestep_spacing", self.spacing, ("linspace", "leading"))
        return self.trailing()

    def _used_steps(self) -> int:
        """How many of the training steps are used."""
        return self.train_steps

    def _log_snr(self, index: int) -> float:
        sigma = float(self._sigmas[index])
        return math.inf if sigma == 0 else math.log(float(self._alphas[index])) - math.log(sigma)

    def _usable(self, index: int) -> int:
        """The order that the steps so far allow.

        Nearly as many steps as were trained share timesteps after rounding: nothing to extrapolate from.
        """
        usable = 1
        while usable < len(self._outputs) and self._log_snr(index + 1 - usable) > self._log_snr(index - usable):
            usable += 1
        return usable

    def _lowered(self, index: int, lowers: bool, last: bool = False) -> int:
        """The order of a step: lower in the first ones, and in the last ones where there are few.

        Args:
            index: of the step.
            lowers: whether the last ones have a lower order.
            last: whether the very last one has the first order in any case.
        """
        few = lowers and self.steps < _FEW_STEPS
        if index == self.steps - 1 and (few or last):
            return 1
        most = 2 if few and index == self.steps - 2 else self.order
        return min(most, self._usable(index))
