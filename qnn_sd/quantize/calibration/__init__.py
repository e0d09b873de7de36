"""Calibration data: which prompts are painted, what of them is kept, and how it lies on disk."""

from qnn_sd.quantize.calibration.painter import Painter
from qnn_sd.quantize.calibration.plan import Texts, Trajectory, plan_trajectories, plan_verification
from qnn_sd.quantize.calibration.prompts import read_prompts
from qnn_sd.quantize.calibration.record import record, unit_name
from qnn_sd.quantize.calibration.store import Samples, spread

__all__ = [
    "Painter",
    "Samples",
    "Texts",
    "Trajectory",
    "plan_trajectories",
    "plan_verification",
    "read_prompts",
    "record",
    "spread",
    "unit_name",
]
