"""This machine's CPU: ONNX Runtime on the float or the QDQ graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime

from qnn_sd import resources
from qnn_sd.reference import reference_session
from qnn_sd.session_loading import loading
from qnn_sd.targets.session_runner import SessionRunner


class CpuRunner(SessionRunner):
    """Runs ONNX graphs on ONNX Runtime's CPU provider.

    Args:
        file: gives a component's ONNX file.
        threads: for the ops; 0 for as many as there are cores for this process.
        optimize: whether ONNX Runtime may replace nodes by faster ones. For float graphs alone: in QDQ graphs newer
            versions round what the graph doesn't round (``reference``).
    """

    def __init__(self, file: Callable[[str], Path], threads: int = 0, *, optimize: bool = False) -> None:
        super().__init__()
        self._file, self._threads, self._optimize = file, threads, optimize

    @property
    def target(self) -> str:
        """``cpu``."""
        return "cpu"

    def _open(self, component: str) -> onnxruntime.InferenceSession:
        if not self._optimize:
            return reference_session(self._file(component), threads=self._threads)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads or resources.session_threads()
        file = self._file(component)
        with loading(file):
            return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
