"""float ONNX → W8A16 QDQ ONNX with its encodings."""

from qnn_sd.quantize.adaround import RoundingData
from qnn_sd.quantize.component import quantize_component, quantize_with_stand_ins

__all__ = ["RoundingData", "quantize_component", "quantize_with_stand_ins"]
