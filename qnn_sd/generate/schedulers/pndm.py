"""PNDM (Liu et al. 2022): pseudo linear multistep, begun by pseudo Runge-Kutta steps where the config has them."""

from __future__ import annotations

import numpy as np

from qnn_sd.errors import SettingError
from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers.base import Array, Scheduler, float32
from qnn_sd.generate.schedulers.settings import flag

# Runge-Kutta steps at the beginning, each of four calls.
_RUNGE_KUTTA_STEPS, _CALLS = 3, 4
# Adams and Bashforth's coefficients by how many outputs there are, the latest first.
_ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


class Pndm(Scheduler):
    """Extrapolates the UNet's output from the last four."""

    def _prepare(self) -> None:
        times = self.spaced().round()
        self._skips_runge_kutta = flag(self.config, "skip_prk_steps")
        self._ratio = self.train_steps // self.steps
        self._final = 1.0 if flag(self.config, "set_alpha_to_one") else float(self.alphas[0])
        if self._skips_runge_kutta:
            # The first step is done again with the mean of both ends' outputs.
            self.timesteps = np.insert(times, 1, times[1:2]).astype(np.float32)
        elif self.steps <= _RUNGE_KUTTA_STEPS:
            raise SettingError(
                f"{self.steps} steps are not possible with pndm and this checkpoint's config",
                why=f"Its first {_RUNGE_KUTTA_STEPS} steps are Runge and Kutta's (skip_prk_steps is off).",
                hint=f"Choose {_RUNGE_KUTTA_STEPS + 1} steps or more, or another scheduler: --scheduler dpm++2m.",
            )
        else:
            half = times[: _RUNGE_KUTTA_STEPS + 1] + self._ratio // 2
            begun = [(times[n], half[n + 1], half[n + 1], times[n + 1]) for n in range(_RUNGE_KUTTA_STEPS)]
            self.timesteps = np.append(begun, times[_RUNGE_KUTTA_STEPS:]).astype(np.float32)
        self._outputs: list[Array] = []
        self._begun: Array | None = None
        self._sum: Array = np.zeros(1, np.float32)

    @property
    def calls(self) -> list[range]:
        """Two for the first step, or four for each of the first three."""
        first = [_CALLS] * _RUNGE_KUTTA_STEPS if not self._skips_runge_kutta else [min(2, self.steps)]
        counts = [*first, *[1] * (self.steps - len(first))]
        ends = np.cumsum(counts).tolist()
        return [range(end - count, end) for end, count in zip(ends, counts, strict=True)]

    def step(self, predicted: Array, index: int, sample: Array, noise: TorchNoise) -> Array:  # noqa: ARG002
        """One call's part of a step."""
        if not self._skips_runge_kutta and index < _RUNGE_KUTTA_STEPS * _CALLS:
            return self._runge_kutta(predicted, index, sample)
        time = int(self.timesteps[index])
        if self._skips_runge_kutta and index == 1:
            assert self._begun is not None
            here = min(time + self._ratio, self.train_steps - 1)
            return self._moved(self._begun, here, time, float32((predicted + self._outputs[-1]) / 2))
        self._begun = sample
        self._outputs = [*self._outputs[-3:], predicted]
        coefficients = _ADAMS_BASHFORTH[len(self._outputs) - 1]
        pairs = zip(coefficients, reversed(self._outputs), strict=True)
        return self._moved(sample, time, time - self._ratio, float32(sum(c * each for c, each in pairs)))

    def _runge_kutta(self, predicted: Array, index: int, sample: Array) -> Array:
        part = index % _CALLS
        time, first = int(self.timesteps[index]), int(self.timesteps[index - part])
        if part == 0:
            self._begun, self._sum = sample, np.zeros_like(sample)
            self._outputs.append(predicted)
        assert self._begun is not None
        self._sum = float32(self._sum + predicted * (1 / 6 if part in (0, 3) else 1 / 3))
        there = time - (0 if part % 2 else self._ratio // 2)
        return self._moved(self._begun, first, there, self._sum if part == 3 else predicted)

    def _moved(self, sample: Array, here: int, there: int, predicted: Array) -> Array:
        """A sample from one time to another (formula 11 of the paper)."""
        alpha, after = float(self.alphas[here]), float(self.alphas[there]) if there >= 0 else self._final
        if self.prediction == "v_prediction":
            predicted = float32(alpha**0.5 * predicted + (1 - alpha) ** 0.5 * sample)
        divisor = alpha * (1 - after) ** 0.5 + (alpha * (1 - alpha) * after) ** 0.5
        return float32((after / alpha) ** 0.5 * sample - (after - alpha) * predicted / divisor)
