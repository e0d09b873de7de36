"""What building and generating take, before they start: shipped figures, scaled to this machine and this model."""

from qnn_sd.estimates.machine import Machine, measure_machine
from qnn_sd.estimates.predict import Estimate, estimate, how_many_fit, makespan

__all__ = ["Estimate", "Machine", "estimate", "how_many_fit", "makespan", "measure_machine"]
