"""Waits for a phone that is just coming."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from qnn_sd import announced_phones
from qnn_sd.adb_server import server_address
from qnn_sd.targets.adb.client.device_history import READY
from qnn_sd.targets.adb.client.server import Adb

# How long to wait for a phone in one of adb's states on the way to ``device``. One that stays offline has a fault;
# a person has to answer before ``authorizing`` ends.
_SECONDS_BY_STATE = {"connecting": 10.0, "offline": 5.0, "authorizing": 20.0}
# A virtual phone that has announced itself, on a busy machine.
_ANNOUNCED_SECONDS = 60.0
# A virtual phone or emulator that was started in the same moment as this command, and hasn't announced itself yet.
# Both start Python and import the same modules.
_UNANNOUNCED_SECONDS = 5.0
_LOCAL = re.compile(r"(127\.0\.0\.1|localhost):\d+|emulator-\d+")
_POLL_SECONDS = 0.1


def await_phone(adb: Adb, serial: str | None, say: Callable[[str], None]) -> None:
    """Waits until a phone is ready, as long as there is a reason to believe that it will be.

    Args:
        adb: the server.
        serial: as typed; None for the only phone.
        say: told once that this waits.

    Raises:
        AdbServerError: the server can't be reached.
        DeviceError: a variable names no address of a server.
    """
    started, told = time.monotonic(), False
    while time.monotonic() - started < _patience(adb, serial):
        if not told:
            say(f"waiting for {serial or 'the virtual phone that is starting'}")
            told = True
        time.sleep(_POLL_SECONDS)


def _patience(adb: Adb, serial: str | None) -> float:
    """How long to wait in all, as things are now; 0 where there is nothing to wait for."""
    states = {device.serial: device.state for device in adb.devices()}
    if serial is None:
        if READY in states.values():
            return 0.0
        coming = [_SECONDS_BY_STATE.get(state, 0.0) for state in states.values()]
        return max(coming, default=_ANNOUNCED_SECONDS if _is_announced(None) else 0.0)
    if serial in states:
        return _SECONDS_BY_STATE.get(states[serial], 0.0)
    if _is_announced(serial):
        return _ANNOUNCED_SECONDS
    return _UNANNOUNCED_SECONDS if _LOCAL.fullmatch(serial) else 0.0


def _is_announced(serial: str | None) -> bool:
    """Whether a virtual phone that connects itself to this adb server has announced itself, under a name or any."""
    _host, port = server_address()
    return any(
        phone.adb_port == port and (serial is None or phone.address in (None, serial))
        for phone in announced_phones.phones()
    )
