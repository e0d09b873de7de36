"""The HTP emulator in onnxruntime-qnn: executes a phone's context binary on this machine's CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime

from qnn_sd import qnn_provider
from qnn_sd.targets.session_runner import SessionRunner


class EmulatorRunner(SessionRunner):
    """Runs context binaries on the emulator.

    Args:
        file: gives a component's EPContext file.
        soc_model: QNN's number of the SoC that it is to be.
        htp_arch: Hexagon architecture.
    """

    def __init__(self, file: Callable[[str], Path], soc_model: int, htp_arch: int) -> None:
        super().__init__()
        self._file, self._options = file, qnn_provider.htp_options(soc_model, htp_arch)

    @property
    def target(self) -> str:
        """``emulator``."""
        return "emulator"

    def _open(self, component: str) -> onnxruntime.InferenceSession:
        return qnn_provider.session(self._file(component), self._options)
