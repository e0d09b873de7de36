"""What a bundle's components take on a phone: cold starts and warm rounds, in every perf mode asked for."""

from qnn_sd.targets.adb.bench.measure import measure
from qnn_sd.targets.adb.bench.percentiles import Percentiles, percentiles_of
from qnn_sd.targets.adb.bench.results import Call, ColdRun, Condition, Measured, Measurement, Refused
from qnn_sd.targets.adb.bench.settings import BenchSettings

__all__ = [
    "BenchSettings",
    "Call",
    "ColdRun",
    "Condition",
    "Measured",
    "Measurement",
    "Percentiles",
    "Refused",
    "measure",
    "percentiles_of",
]
