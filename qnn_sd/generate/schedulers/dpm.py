"""DPM-Solver++ (Lu et al. 2022), multistep: first to third order, with and without fresh noise."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.base import Array, float32
from qnn_sd.generate.schedulers.multistep import Multistep
from qnn_sd.generate.schedulers.noise_levels import sigmas_of, times_of
from qnn_sd.generate.schedulers.settings import flag, one_of, refuse

# A config of DEIS is read as one of DPM-Solver++, and its and UniPC's solver types as midpoint, as in diffusers.
_ALGORITHMS = ("dpmsolver++", "sde-dpmsolver++", "deis")
_SOLVERS = ("midpoint", "heun", "logrho", "bh1", "bh2")


class DpmPlusPlus(Multistep):
    """Extrapolates the clean latent from its last predictions."""

    variants: ClassVar[frozenset[str]] = Multistep.variants | {
        *("algorithm_type", "euler_at_final", "final_sigmas_type", "rescale_betas_zero_snr", "solver_type"),
        *("use_lu_lambdas", "variance_type"),
    }
    least_alpha: ClassVar[float] = 2**-24

    def _prepare(self) -> None:
        if self.config.get("variance_type") in ("learned", "learned_range"):
            refuse("variance_type", self.config["variance_type"], (None,))
        super()._prepare()
        self._is_stochastic = one_of(self.config, "algorithm_type", *_ALGORITHMS) == "sde-dpmsolver++"
        self._is_heun = one_of(self.config, "solver_type", *_SOLVERS) == "heun"
        self._lowers = flag(self.config, "lower_order_final", True)
        self._ends_first_order = flag(self.config, "euler_at_final") or self._sigmas[-1] == 0

    def _used_steps(self) -> int:
        """Without those whose log SNR is below ``lambda_min_clipped``."""
        least = self.config.get("lambda_min_clipped")
        if not isinstance(least, int | float) or not math.isfinite(least):
            return self.train_steps
        table = sigmas_of(self.alphas)
        return self.train_steps - int(np.searchsorted(-np.log(table)[::-1], least))

    def _places(self) -> tuple[Array, NDArray[np.float64]]:
        """As ``Multistep``; ``use_lu_lambdas`` spaces the log SNR evenly (section 4.3 of the paper)."""
        if not flag(self.config, "use_lu_lambdas") or flag(self.config, "use_karras_sigmas"):
            return super()._places()
        table = sigmas_of(self.alphas)
        logs = np.log(table)
        levels = np.exp(np.linspace(float(logs[-1]), float(logs[0]), self.steps))
        times = times_of(levels, table)
        return np.trunc(times.round() if self._rounds_times() else times).astype(np.float32), levels

    def _rounds_times(self) -> bool:
        if self.config.get("beta_schedule") == "squaredcos_cap_v2":
            return False
        return super()._rounds_times() or flag(self.config, "use_lu_lambdas")

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:
        """First order at the first step, and at the last one where it ends without noise (table 2 of the paper)."""
        clean, _ = self.denoised(predicted, sample, float(self._alphas[index]), float(self._sigmas[index]))
        self._outputs = [*self._outputs, clean][-self.order :]
        width = self._log_snr(index + 1) - self._log_snr(index)
        order = self._lowered(index, self._lowers, self._ends_first_order) if width else 1
        ratio, alpha = self._sigmas[index + 1] / self._sigmas[index], self._alphas[index + 1]
        # With fresh noise a step goes as far again, and the noise brings it back.
        reach, fresh = width, 0.0
        if self._is_stochastic:
            reach, ratio = 2 * width, ratio * math.exp(-width)
            fresh = float(self._sigmas[index + 1]) * math.sqrt(-math.expm1(-reach))
        estimate, more = self._estimate(index, order, width, reach)
        moved = ratio * sample - alpha * math.expm1(-reach) * estimate
        if more is not None:
            moved = moved + alpha * more
        if self._is_stochastic:
            moved = moved + fresh * noise.normal(sample.shape)
        return float32(moved)

    def _estimate(self, index: int, order: int, width: float, reach: float) -> tuple[Array, NDArray[Any] | None]:
        """The clean latent that a step goes to, and what a higher order adds beside it."""
        clean = self._outputs[-1]
        if order == 1:
            return clean, None
        before = self._log_snr(index) - self._log_snr(index - 1)
        if order == 2 and not self._is_heun:
            return clean + (clean - self._outputs[-2]) * (0.5 * width / before), None
        slope = (clean - self._outputs[-2]) * (width / before)
        linear = math.expm1(-reach) / reach + 1
        if order == 2:
            return clean, linear * slope
        earlier = self._log_snr(index - 1) - self._log_snr(index - 2)
        older = (self._outputs[-2] - self._outputs[-3]) * (width / earlier)
        bend = (slope - older) * (width / (before + earlier))
        slope = slope + (slope - older) * (before / (before + earlier))
        square = (math.expm1(-reach) + reach) / reach**2
        # The sign of the half differs between diffusers' two third orders.
        return clean, linear * slope - (square + 0.5 if self._is_stochastic else square - 0.5) * bend
