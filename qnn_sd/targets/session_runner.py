"""What runners on ONNX Runtime sessions share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import onnxruntime

from qnn_sd.errors import QnnSdError, TargetError
from qnn_sd.reference import outputs_of
from qnn_sd.runner import Fallback, Feeds, Outputs, Runner


class SessionRunner(Runner, ABC):
    """Runs each component in an ONNX Runtime session of its own."""

    def __init__(self) -> None:
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    @property
    @abstractmethod
    def target(self) -> str:
        """Its name, as ``--target`` takes it."""

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """None: a session runs here or not at all."""
        return ()

    @abstractmethod
    def _open(self, component: str) -> onnxruntime.InferenceSession:
        """A new session of a component."""

    def load(self, component: str) -> None:
        """Opens the component's session.

        Raises:
            TargetError: ONNX Runtime refused the file.
        """
        if component in self._sessions:
            return
        try:
            self._sessions[component] = self._open(component)
        except QnnSdError:
            raise
        except Exception as error:
            raise TargetError(
                f"{component} can't be loaded on {self.target}",
                why=_first_line(error),
                hint="qnn-sd doctor checks this machine; qnn-sd compile makes the files anew.",
            ) from error

    def run(self, component: str, feeds: Feeds) -> Outputs:
        """Runs the component's session.

        Raises:
            TargetError: the run failed, or the inputs don't fit.
        """
        try:
            return outputs_of(self._sessions[component], feeds)
        except Exception as error:
            raise TargetError(
                f"{component} failed on {self.target}",
                why=_first_line(error),
                hint="Run qnn-sd doctor; if it finds nothing, delete the bundle and compile anew.",
            ) from error

    def unload(self, component: str) -> None:
        """Closes the component's session."""
        self._sessions.pop(component, None)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:400]
