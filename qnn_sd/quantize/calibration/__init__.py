"""Calibration data: which prompts are painted, what of them is kept, and how it lies on disk."""

from qnn_sd.quantize.calibration.painter import Painter
from qnn_sd.quantize.calibration.plan import Trajectory, plan_trajectories
from qnn_sd.quantize.calibration.prompts import read_prompts
from qnn_sd.quantize.calibration.record import record
from qnn_sd.quantize.calibration.store import Samples, spread

__all__ = ["Painter", "Samples", "Trajectory", "plan_trajectories", "read_prompts", "record", "spread"]
