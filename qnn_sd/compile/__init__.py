"""QDQ ONNX → context binary for one SoC, verified on the HTP emulator; and what it costs in memory traffic."""

from qnn_sd.compile.ahead_of_time import compile_component
from qnn_sd.compile.process import CONTEXT_FILE, Children
from qnn_sd.compile.verifier import Binary, Verifier

__all__ = ["CONTEXT_FILE", "Binary", "Children", "Verifier", "compile_component"]
