"""Where adb's server is: by the variables that adb itself reads (AOSP, packages/modules/adb, commandline.cpp)."""

from __future__ import annotations

import os
import re

from qnn_sd.errors import DeviceError

_HOST, _PORT = "127.0.0.1", 5037
DEFAULT_SERVER = f"{_HOST}:{_PORT}"
# A socket specification of adb's (socket_spec.cpp): tcp:PORT, tcp:HOST:PORT, tcp:[IPv6]:PORT.
_TCP = re.compile(r"tcp:(?:(?P<host>[^:\[\]]+|\[[^\]]+\]):)?(?P<port>\d{1,5})")


def server_address() -> tuple[str, int]:
    """Host and port of the server that adb's commands would talk to.

    ``ADB_SERVER_SOCKET`` comes before ``ANDROID_ADB_SERVER_ADDRESS`` and ``ANDROID_ADB_SERVER_PORT``, as in adb.

    Raises:
        DeviceError: a variable names no address over TCP.
    """
    variable, text = "ADB_SERVER_SOCKET", os.environ.get("ADB_SERVER_SOCKET")
    if not text:
        variable, port = "ANDROID_ADB_SERVER_PORT", os.environ.get("ANDROID_ADB_SERVER_PORT") or str(_PORT)
        text = f"tcp:{os.environ.get('ANDROID_ADB_SERVER_ADDRESS') or _HOST}:{port}"
    match = _TCP.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise DeviceError(
            "The adb server's address can't be read",
            why=f"{variable} makes it {text!r}.",
            hint="Set ADB_SERVER_SOCKET=tcp:HOST:PORT, or unset it for the server on this machine.",
        )
    return (match["host"] or _HOST).strip("[]"), int(match["port"])


def server_name() -> str:
    """The address, as a message names it.

    Raises:
        DeviceError: a variable names no address over TCP.
    """
    host, port = server_address()
    return f"{host}:{port}"
