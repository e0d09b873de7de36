"""Float ONNX to QDQ ONNX with its encodings."""

from qnn_sd.quantize.adaround import RoundingData, best_backend
from qnn_sd.quantize.against_float import sqnr_against_float
from qnn_sd.quantize.component import ENCODINGS_1_0_0 as ENCODINGS_FILE
from qnn_sd.quantize.component import quantize_by_adaround, quantize_component, quantize_with_stand_ins
from qnn_sd.quantize.encodings import QuantizationScheme, read_encodings

__all__ = [
    "ENCODINGS_FILE",
    "QuantizationScheme",
    "RoundingData",
    "best_backend",
    "quantize_by_adaround",
    "quantize_component",
    "quantize_with_stand_ins",
    "read_encodings",
    "sqnr_against_float",
]
