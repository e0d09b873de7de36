"""float ONNX → W8A16 QDQ ONNX with its encodings."""

from qnn_sd.quantize.adaround import RoundingData, best_backend
from qnn_sd.quantize.against_float import sqnr_against_float
from qnn_sd.quantize.component import quantize_by_adaround, quantize_component, quantize_with_stand_ins

__all__ = [
    "RoundingData",
    "best_backend",
    "quantize_by_adaround",
    "quantize_component",
    "quantize_with_stand_ins",
    "sqnr_against_float",
]
