"""QDQ ONNX → context binary for one SoC, proven on the HTP emulator."""

from qnn_sd.compile.ahead_of_time import compile_component
from qnn_sd.compile.verify import verify_component

__all__ = ["compile_component", "verify_component"]
