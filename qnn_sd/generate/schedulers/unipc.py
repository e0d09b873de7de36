"""UniPC (Zhao et al. 2023): a multistep predictor whose every prediction also corrects the step before."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.base import Array, float32
from qnn_sd.generate.schedulers.multistep import Multistep
from qnn_sd.generate.schedulers.noise_levels import spaced_levels
from qnn_sd.generate.schedulers.settings import flag, one_of, refuse

# Solver types of DPM-Solver++ and DEIS are read as bh2, as in diffusers.
_SOLVERS = ("bh2", "bh1", "midpoint", "heun", "logrho")


class UniPc(Multistep):
    """Predicts the next sample from the last outputs, and corrects it when the next output is there."""

    variants: ClassVar[frozenset[str]] = Multistep.variants | {
        *("final_sigmas_type", "predict_x0", "rescale_betas_zero_snr", "solver_type"),
    }
    least_alpha: ClassVar[float] = 2**-24

    def _prepare(self) -> None:
        super()._prepare()
        for key in ("solver_p", "use_dynamic_shifting", "shift_terminal"):
            if self.config.get(key):
                refuse(key, self.config[key], (None,))
        self._is_bh1 = one_of(self.config, "solver_type", *_SOLVERS) == "bh1"
        self._predicts_clean = flag(self.config, "predict_x0", True)
        self._lowers = flag(self.config, "lower_order_final", True)
        uncorrected = self.config.get("disable_corrector") or ()
        if not isinstance(uncorrected, list | tuple) or not all(isinstance(each, int) for each in uncorrected):
            refuse("disable_corrector", uncorrected, ("a list of steps",))
        self._uncorrected = frozenset(uncorrected)
        self._before: Array | None = None
        self._last_order = 1

    def _least_level(self, levels: NDArray[np.float64]) -> float:
        is_spaced = spaced_levels(self.config, 1, 1, 1) is not None
        return float(levels[-1]) if is_spaced else super()._least_level(levels)

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:  # noqa: ARG002
        """Corrects the sample by the output that was asked about it, then predicts the next."""
        clean, direction = self.denoised(predicted, sample, float(self._alphas[index]), float(self._sigmas[index]))
        output = clean if self._predicts_clean else direction
        if self._before is not None and index - 1 not in self._uncorrected:
            sample = self._moved(self._before, index - 1, self._last_order, output)
        self._outputs = [*self._outputs, output][-self.order :]
        most = min(self.order, self.steps - index) if self._lowers else self.order
        # Without noise at its end a step is infinitely wide: no higher order has a value.
        self._last_order = 1 if self._sigmas[index + 1] == 0 else min(most, self._usable(index))
        self._before = sample
        return self._moved(sample, index, self._last_order)

    def _moved(self, sample: Array, index: int, order: int, then: Array | None = None) -> Array:
        """A sample one step on (formulas 3 to 9 of the paper).

        Args:
            sample: at step ``index``.
            index: of the step.
            order: of the solver.
            then: what the UNet has answered at the step's end: the step is corrected by it.
        """
        here, width = self._log_snr(index), self._log_snr(index + 1) - self._log_snr(index)
        alpha, sigma = (float(each[index + 1]) for each in (self._alphas, self._sigmas))
        alpha_here, sigma_here = (float(each[index]) for each in (self._alphas, self._sigmas))
        output = self._outputs[-1]
        if self._predicts_clean:
            reach, factor = -width, alpha
            moved = sigma / sigma_here * sample - alpha * math.expm1(reach) * output
        else:
            # sigma times expm1(width), which has a value where sigma is 0.
            reach, factor = width, sigma
            moved = alpha / alpha_here * sample - (alpha * sigma_here / alpha_here - sigma) * output
        ratios = [(self._log_snr(index - i) - here) / width for i in range(1, order)] if width else []
        changes = [(self._outputs[-i - 1] - output) / ratio for i, ratio in enumerate(ratios, 1)]
        if then is not None:
            ratios, changes = [*ratios, 1.0], [*changes, then - output]
        if changes and width:
            weights, base = _weights(ratios, reach, self._is_bh1)
            moved = moved - factor * base * sum(weight * each for weight, each in zip(weights, changes, strict=True))
        return float32(moved)


def _weights(ratios: list[float], reach: float, is_bh1: bool) -> tuple[list[float], float]:
    """Weights of the differences, and B(h) that they are multiplied with.

    Args:
        ratios: where the differences stand, in step widths.
        reach: the step's width in log SNR, with the sign of what is predicted.
        is_bh1: whether B(h) is the width itself.
    """
    base = reach if is_bh1 else math.expm1(reach)
    # The paper sets both to a half where there is one difference alone.
    if len(ratios) == 1:
        return [0.5], base
    phi, factorial, targets = math.expm1(reach) / reach - 1, 1, []
    for i in range(1, len(ratios) + 1):
        targets.append(phi * factorial / base)
        factorial *= i + 1
        phi = phi / reach - 1 / factorial
    system = np.vander(ratios, increasing=True).T
    return [float(weight) for weight in np.linalg.solve(system, targets)], base
