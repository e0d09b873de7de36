"""Where components run: this machine's CPU, and the HTP emulator."""

from qnn_sd.targets.cpu import CpuRunner
from qnn_sd.targets.emulator import EmulatorRunner
from qnn_sd.targets.fallback import FallbackRunner

__all__ = ["CpuRunner", "EmulatorRunner", "FallbackRunner"]
