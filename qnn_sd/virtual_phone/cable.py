"""The cable, which faults can pull while a file is pushed, over sync or into a shell's standard input."""

from __future__ import annotations

import threading
from collections.abc import Callable

from qnn_sd.virtual_phone.faults import Faults


class CablePulledError(OSError):
    """The connection is gone in the middle of a push."""


class AdbdDiedError(CablePulledError):
    """adbd itself is gone: nobody removes what it left half-written."""


class Cable:
    """Counts what is pushed, and breaks once if a fault says so.

    Args:
        faults: ``disconnect`` and ``crash`` count.
        pull: ends every connection.
    """

    def __init__(self, faults: Faults, pull: Callable[[], None]) -> None:
        limits = [limit for limit in (faults.disconnect, faults.crash) if limit is not None]
        self._left = min(limits, default=None)
        self._dies = faults.crash is not None and faults.crash == self._left
        self._pull, self._lock = pull, threading.Lock()

    def carries(self, count: int) -> int:
        """How many of the next bytes still arrive."""
        with self._lock:
            if self._left is None:
                return count
            allowed = min(self._left, count)
            self._left -= allowed
            return allowed

    def breaks(self) -> None:
        """Pulls the cable, this once.

        Raises:
            CablePulledError: always; its kind says what becomes of the half file.
        """
        with self._lock:
            self._left = None
        self._pull()
        raise AdbdDiedError if self._dies else CablePulledError
