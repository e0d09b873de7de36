"""Errors of the connections to the adb server and to a phone."""

from __future__ import annotations

from qnn_sd.adb_server import DEFAULT_SERVER, server_name
from qnn_sd.errors import DeviceError


def server_unreachable(error: Exception) -> DeviceError:
    """The error for an adb server that doesn't answer."""
    return DeviceError(
        f"The adb server doesn't answer at {server_name()}",
        why=str(error) or type(error).__name__,
        hint="Start it there, or unset ADB_SERVER_SOCKET, ANDROID_ADB_SERVER_ADDRESS and ANDROID_ADB_SERVER_PORT."
        if server_name() != DEFAULT_SERVER
        else "Type adb kill-server, then try again.",
    )


def connection_lost(serial: str, why: str) -> DeviceError:
    """The error for a phone that is disconnected while it is used."""
    return DeviceError(
        f"The connection to {serial} was lost",
        why=why,
        hint="Connect the phone and run the command again: it resumes where it stopped.",
    )
