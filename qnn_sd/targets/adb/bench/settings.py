"""What is to be measured."""

from __future__ import annotations

from dataclasses import dataclass

from qnn_sd.errors import SettingError, did_you_mean
from qnn_sd.targets.adb.session.deployment import PERF_MODES

MOST_ROUNDS = 10_000


@dataclass(frozen=True)
class BenchSettings:
    """What is to be measured.

    Attributes:
        components: names in the bundle; each is measured in a worker of its own.
        perf_modes: QNN's ``htp_performance_mode``, of ``PERF_MODES``.
        rounds: calls in the warm worker, after one that isn't counted; at least 1.
        cold: fresh workers, each for one call; at least 1.

    Raises:
        SettingError: an unknown perf mode, or a number that can't be.
    """

    components: tuple[str, ...]
    perf_modes: tuple[str, ...] = ("burst",)
    rounds: int = 20
    cold: int = 3

    def __post_init__(self) -> None:
        for mode in self.perf_modes:
            if mode not in PERF_MODES:
                raise SettingError(f"There is no perf mode {mode!r}", hint=did_you_mean(mode, PERF_MODES))
        for option, number in (("--rounds", self.rounds), ("--cold", self.cold)):
            if not 1 <= number <= MOST_ROUNDS:
                raise SettingError(f"{option} {number} is not possible", hint=f"Choose 1 to {MOST_ROUNDS}.")
