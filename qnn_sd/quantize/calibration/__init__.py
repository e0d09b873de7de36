"""Calibration data: which prompts are generated, what of them is kept, and how it lies on disk."""

from qnn_sd.quantize.calibration.plan import PromptSet, Trajectory, plan_trajectories, plan_verification
from qnn_sd.quantize.calibration.prompts import read_prompts
from qnn_sd.quantize.calibration.record import record, unit_name
from qnn_sd.quantize.calibration.recorder import CalibrationRecorder, DeriveFeeds, RecordedOn
from qnn_sd.quantize.calibration.store import Samples, evenly_spaced

__all__ = [
    "CalibrationRecorder",
    "DeriveFeeds",
    "PromptSet",
    "RecordedOn",
    "Samples",
    "Trajectory",
    "evenly_spaced",
    "plan_trajectories",
    "plan_verification",
    "read_prompts",
    "record",
    "unit_name",
]
