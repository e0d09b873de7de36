"""Finds the first op whose output on the HTP emulator parts from the CPU's, and writes it as a reproduction."""

from qnn_sd.compile.bisect.bisection import Bisection, bisect
from qnn_sd.compile.bisect.cuts import op_name
from qnn_sd.compile.bisect.input_values import seeded_inputs
from qnn_sd.compile.bisect.refusal import refused_ops
from qnn_sd.compile.bisect.reproduction import write_reproduction
from qnn_sd.compile.bisect.reproduction_contents import Reproduction
from qnn_sd.compile.bisect.trial import Target, compile_and_run

__all__ = [
    "Bisection",
    "Reproduction",
    "Target",
    "bisect",
    "compile_and_run",
    "op_name",
    "refused_ops",
    "seeded_inputs",
    "write_reproduction",
]
