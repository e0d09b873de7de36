"""Errors of the connections to the adb server and to a phone."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from qnn_sd.adb_program import adb_command
from qnn_sd.adb_server import DEFAULT_SERVER, server_name
from qnn_sd.errors import AdbServerError, DeviceBlockedError, DeviceError, DeviceReturnedError, QnnSdError
from qnn_sd.targets.adb.client.device_history import ABSENT, READY, DeviceHistory

# A phone whose cable has a bad contact is back by then; one that was pulled isn't.
_SETTLE_SECONDS = 2.5
# The adb server notices within this time that a phone is gone.
_NOTICE_SECONDS = 1.0
_POLL_SECONDS = 0.05
_AGAIN = "type the same line again"
# What to do about a phone in another of adb's states (AOSP, packages/modules/adb, adb.h).
HINTS = {
    "unauthorized": "Unlock the phone and allow USB debugging for this computer",
    "authorizing": "The phone asks for permission: look at its screen",
    "offline": "Unplug the phone and plug it in again",
    "no permissions": "Let your user use the phone: on Linux with android-udev-rules, then plug it in again",
    "recovery": "Restart the phone into Android",
    "bootloader": "Restart the phone into Android",
    "sideload": "Restart the phone into Android",
}


def server_unreachable(error: Exception) -> AdbServerError:
    """The error for an adb server that doesn't answer."""
    return AdbServerError(
        f"The adb server doesn't answer at {server_name()}",
        why=str(error) or type(error).__name__,
        hint="Start it there, or unset ADB_SERVER_SOCKET, ANDROID_ADB_SERVER_ADDRESS and ANDROID_ADB_SERVER_PORT."
        if server_name() != DEFAULT_SERVER
        else f"Type {adb_command('kill-server')}, then try again.",
    )


def blocked(serial: str, state: str) -> DeviceBlockedError:
    """The error for a phone that adb lists in a state in which it can't be used."""
    return DeviceBlockedError(
        f"{serial} can't be used",
        why=f"adb says: {state}.",
        hint=f"{HINTS.get(state, 'Unplug the phone and plug it in again')}, then try again.",
    )


def examine(
    serial: str,
    history: DeviceHistory,
    ended: Callable[[], QnnSdError | None] = lambda: None,
    notice_seconds: float = _NOTICE_SECONDS,
) -> QnnSdError | None:
    """Finds out from adb why a connection to a phone broke; takes some seconds.

    Args:
        serial: the phone's.
        history: since the connection stood.
        ended: gives the error for a program on the phone, as soon as the phone has told that it ended.
        notice_seconds: how long a phone that adb lists as ready may turn out to be gone.

    Returns:
        The cause, or None where adb has noticed nothing.
    """
    started = time.monotonic()
    while (waited := time.monotonic() - started) < _SETTLE_SECONDS:
        states = history.states(serial)
        if history.server_ended:
            return _server_ended(serial)
        if states[-1] == READY:
            if len(states) > 1:
                history.forget()
                return _returned(serial, states)
            if (error := ended()) is not None:
                return error
            if waited > notice_seconds:
                return None
        time.sleep(_POLL_SECONDS)
    history.forget()
    return _left(serial, states[-1])


def _server_ended(serial: str) -> AdbServerError:
    listing = f"{adb_command('devices')}, which starts it again and must list {serial}"
    first = adb_command("connect", serial) if ":" in serial else listing
    return AdbServerError(
        f"The adb server was ended while {serial} was in use",
        why=f"Somebody typed {adb_command('kill-server')}, or another version of adb restarted it. "
        "The phone itself may be well.",
        hint=f"Type {first}; then {_AGAIN}.",
    )


def _returned(serial: str, states: list[str]) -> DeviceReturnedError:
    return DeviceReturnedError(
        f"The connection to {serial} was interrupted for a moment",
        why=f"adb's states of it: {', '.join(states)}. It is there again: often the cable or a plug is loose.",
        hint=f"{_AGAIN[0].upper()}{_AGAIN[1:]}.",
    )


def _left(serial: str, state: str) -> DeviceError:
    if state != ABSENT and not (state in ("offline", "connecting") and _is_unreachable(serial)):
        return DeviceBlockedError(
            f"{serial} can't be used any more: it became {state} in the middle of the run",
            why=f"adb still lists it and says: {state}.",
            hint=f"{HINTS.get(state, 'Unplug the phone and plug it in again')}, then {_AGAIN}.",
        )
    if ":" in serial:
        connect = f"Bring it back, type {adb_command('connect', serial)}"
        how = "switched off, restarted or out of the network"
    else:
        connect, how = "Plug it in", "unplugged, switched off or restarted"
    return DeviceError(
        f"{serial} went away in the middle of the run",
        why=f"adb can't reach it any more: it was {how}.",
        hint=f"{connect}, and {_AGAIN}.",
    )


def _is_unreachable(serial: str) -> bool:
    """Whether nothing answers at the address of a phone in the network; a phone on USB has none."""
    host, colon, port = serial.rpartition(":")
    if not (colon and port.isdecimal()):
        return False
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return True
    return False
