"""What building and generating take, before they start: shipped figures, scaled to this machine and this model."""

from qnn_sd.estimates.machine import Machine, measure_machine
from qnn_sd.estimates.predict import Estimate, estimate, makespan

__all__ = ["Estimate", "Machine", "estimate", "makespan", "measure_machine"]
