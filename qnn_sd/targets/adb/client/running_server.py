"""The devices of an adb server that runs already: for a shell that completes, which must not start one or wait."""

from __future__ import annotations

import socket

from qnn_sd.adb_server import server_address
from qnn_sd.errors import DeviceError

# Of each step; the server is on this machine as a rule.
_SECONDS = 0.3


def listed_devices() -> list[tuple[str, str]]:
    """Serial and state of each device; none where no server answers at once.

    adbutils starts a server where none runs. Protocol: AOSP, packages/modules/adb, SERVICES.TXT (``host:devices``).
    """
    try:
        with socket.create_connection(server_address(), timeout=_SECONDS) as connection:
            connection.sendall(b"000chost:devices")
            answer = connection.makefile("rb")
            if answer.read(4) != b"OKAY":
                return []
            text = answer.read(int(answer.read(4), 16)).decode("utf-8", "replace")
    except (OSError, ValueError, DeviceError):
        return []
    return [(serial, state) for serial, _, state in (line.partition("\t") for line in text.splitlines()) if serial]
