"""float ONNX → W8A16 QDQ ONNX with its encodings."""

from qnn_sd.quantize.component import quantize_component

__all__ = ["quantize_component"]
