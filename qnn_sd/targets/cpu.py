"""This machine's CPU: ONNX Runtime on the float or the QDQ graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime

from qnn_sd.targets.sessions import SessionRunner


class CpuRunner(SessionRunner):
    """Runs ONNX graphs on ONNX Runtime's CPU provider.

    Args:
        file: gives a component's ONNX file.
        threads: for the ops; 0 lets ONNX Runtime choose.
    """

    def __init__(self, file: Callable[[str], Path], threads: int = 0) -> None:
        super().__init__()
        self._file, self._threads = file, threads

    @property
    def target(self) -> str:
        """``cpu``."""
        return "cpu"

    def _open(self, component: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        return onnxruntime.InferenceSession(str(self._file(component)), options, providers=["CPUExecutionProvider"])
