"""Of several devices one may be refused: the others are measured all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qnn_sd.console import Console
from qnn_sd.errors import CompileError, HubDeviceError, QnnSdError, VerificationError

# What concerns one SoC or one device; anything else concerns all of them.
_OF_ONE = (CompileError, HubDeviceError, VerificationError)


class Refusals:
    """What was refused so far.

    Args:
        console: is told.
        alone: whether there is only one device: then its refusal ends the command.

    Attributes:
        console: is told.
        error: the first refusal, or None.
    """

    def __init__(self, console: Console, alone: bool) -> None:
        self.console, self._alone = console, alone
        self.error: QnnSdError | None = None

    @property
    def first(self) -> QnnSdError:
        """The first refusal, where there was one."""
        assert self.error is not None, "whoever submits nothing was refused"
        return self.error

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A refusal in the block is told, and the command goes on with the others.

        Raises:
            QnnSdError: it concerns all devices, or the only one.
        """
        try:
            yield
        except _OF_ONE as error:
            if self._alone:
                raise
            self.error = self.error or error
            self.console.error(error)
