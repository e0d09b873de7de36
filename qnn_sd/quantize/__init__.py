"""float ONNX → W8A16 QDQ ONNX with its encodings."""

from qnn_sd.quantize.adaround import RoundingData, best_backend
from qnn_sd.quantize.component import quantize_by_adaround, quantize_component, quantize_with_stand_ins
from qnn_sd.quantize.judge import likeness_to_float

__all__ = [
    "RoundingData",
    "best_backend",
    "likeness_to_float",
    "quantize_by_adaround",
    "quantize_component",
    "quantize_with_stand_ins",
]
