"""The HTP emulator in onnxruntime-qnn: executes a phone's context binary on this machine's CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import onnxruntime

from qnn_sd import qnn_provider
from qnn_sd.targets.session_runner import SessionRunner

# Levels of ONNX Runtime's log; the latter is its default.
_ERROR, _WARNING = 3, 2


class EmulatorRunner(SessionRunner):
    """Runs context binaries on the emulator.

    Args:
        file: gives a component's EPContext file.
        soc_model: QNN's number of the SoC that it is to be.
        htp_arch: Hexagon architecture.
        entries: gives the session config entries that a component's file needs.
    """

    def __init__(
        self,
        file: Callable[[str], Path],
        soc_model: int,
        htp_arch: int,
        entries: Callable[[str], Mapping[str, str]] = lambda _component: {},
    ) -> None:
        super().__init__()
        self._file, self._entries = file, entries
        self._options = qnn_provider.htp_options(soc_model, htp_arch)

    @property
    def target(self) -> str:
        """``emulator``."""
        return "emulator"

    def _open(self, component: str) -> onnxruntime.InferenceSession:
        entries = dict(self._entries(component))
        if not entries:
            return qnn_provider.session(self._file(component), self._options)
        # ONNX Runtime warns on stderr of an entry that is set a second time.
        onnxruntime.set_default_logger_severity(_ERROR)
        try:
            return qnn_provider.session(self._file(component), self._options, entries)
        finally:
            onnxruntime.set_default_logger_severity(_WARNING)
