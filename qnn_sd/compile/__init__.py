"""QDQ ONNX → context binary for one SoC, verified on the HTP emulator; and what it costs in memory traffic."""

from qnn_sd.compile.ahead_of_time import compile_component
from qnn_sd.compile.dlc import DLC_FILE, write_dlc
from qnn_sd.compile.dlc_runtime import why_no_dlc_runs
from qnn_sd.compile.process import CONTEXT_FILE, Children
from qnn_sd.compile.shared_weights import SharedJob, compile_shared, run_shared
from qnn_sd.compile.verifier import Binary, Verifier

__all__ = [
    "CONTEXT_FILE",
    "DLC_FILE",
    "Binary",
    "Children",
    "SharedJob",
    "Verifier",
    "compile_component",
    "compile_shared",
    "run_shared",
    "why_no_dlc_runs",
    "write_dlc",
]
