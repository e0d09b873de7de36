"""QDQ ONNX → context binary for one SoC, proven on the HTP emulator; and what it costs in memory traffic."""

from qnn_sd.compile.ahead_of_time import compile_component
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.compile.proof import Binary, Prover, usable_cores
from qnn_sd.compile.verify import refuse_unfaithful

__all__ = ["CONTEXT_FILE", "Binary", "Prover", "compile_component", "refuse_unfaithful", "usable_cores"]
