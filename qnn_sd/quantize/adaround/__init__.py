"""AdaRound: weights rounded up or down by what their layer's output loses, layer after layer."""

from qnn_sd.quantize.adaround.backend import best_backend
from qnn_sd.quantize.adaround.report import LayerReport
from qnn_sd.quantize.adaround.rounding_data import RoundingData
from qnn_sd.quantize.adaround.sequence import round_layers

__all__ = ["LayerReport", "RoundingData", "best_backend", "round_layers"]
