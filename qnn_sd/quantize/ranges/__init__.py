"""The smallest and largest value of each activation: measured, known beforehand, or a stand-in."""

from qnn_sd.quantize.ranges.calibrated import CalibratedRanges, measure_calibration, measure_or_resume
from qnn_sd.quantize.ranges.known import known_ranges
from qnn_sd.quantize.ranges.margin import RANGE_MARGIN, with_margin
from qnn_sd.quantize.ranges.measured import NO_RANGES, Ranges, measure
from qnn_sd.quantize.ranges.non_negative import non_negative_tensors
from qnn_sd.quantize.ranges.stand_in import stand_in_ranges

__all__ = [
    "NO_RANGES",
    "RANGE_MARGIN",
    "CalibratedRanges",
    "Ranges",
    "known_ranges",
    "measure",
    "measure_calibration",
    "measure_or_resume",
    "non_negative_tensors",
    "stand_in_ranges",
    "with_margin",
]
