"""Errors of the connections to the adb server and to a phone."""

from __future__ import annotations

from qnn_sd.errors import DeviceError


def server_unreachable(error: Exception) -> DeviceError:
    """The error for an adb server that doesn't answer."""
    return DeviceError(
        "The adb server doesn't answer",
        why=str(error) or type(error).__name__,
        hint="Type adb kill-server, then try again; ANDROID_ADB_SERVER_PORT must name the same port for all.",
    )


def connection_lost(serial: str, why: str) -> DeviceError:
    """The error for a phone that is disconnected while it is used."""
    return DeviceError(
        f"The connection to {serial} was lost",
        why=why,
        hint="Connect the phone and run the command again: it resumes where it stopped.",
    )
