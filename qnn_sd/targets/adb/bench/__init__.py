"""What a bundle's components take on a phone: cold starts and warm rounds, in every perf mode asked for."""

from qnn_sd.targets.adb.bench.measure import measure
from qnn_sd.targets.adb.bench.results import Call, ColdRun, Condition, Measured, Measurement, Refused
from qnn_sd.targets.adb.bench.settings import BenchSettings
from qnn_sd.targets.adb.bench.spread import Spread, spread_of

__all__ = [
    "BenchSettings",
    "Call",
    "ColdRun",
    "Condition",
    "Measured",
    "Measurement",
    "Refused",
    "Spread",
    "measure",
    "spread_of",
]
