"""The USB cable, which faults unplug in the middle of a push, over sync or into the stdin of a shell."""

from __future__ import annotations

import threading
from collections.abc import Callable

from qnn_sd.virtual_phone.faults import Faults
from qnn_sd.virtual_phone.moments import Plan


class UsbUnpluggedError(OSError):
    """The connection ended in the middle of a push."""


class AdbdCrashedError(UsbUnpluggedError):
    """adbd itself ended: nobody removes the incomplete file."""


class UsbCable:
    """Counts the bytes that are pushed, and is unplugged once if a fault says so.

    Args:
        faults: ``disconnect`` and ``crash`` are used.
        disconnect: ends every connection.
        plan: counts the bytes too.
    """

    def __init__(self, faults: Faults, disconnect: Callable[[], None], plan: Plan) -> None:
        limits = [limit for limit in (faults.disconnect, faults.crash) if limit is not None]
        self._remaining = min(limits, default=None)
        self._crashes = faults.crash is not None and faults.crash == self._remaining
        self._disconnect, self._plan, self._lock = disconnect, plan, threading.Lock()

    def bytes_until_fault(self, count: int) -> int:
        """How many of the next ``count`` bytes arrive; fewer means that ``unplug`` is due."""
        self._plan.count("bytes", count)
        with self._lock:
            if self._remaining is None:
                return count
            allowed = min(self._remaining, count)
            self._remaining -= allowed
            return allowed

    def unplug(self) -> None:
        """Ends the connections; the fault is then over.

        Raises:
            UsbUnpluggedError: always; an ``AdbdCrashedError`` if the incomplete file stays.
        """
        with self._lock:
            self._remaining = None
        self._disconnect()
        raise AdbdCrashedError if self._crashes else UsbUnpluggedError
