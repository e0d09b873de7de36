"""The devices of an adb server that runs already: for a shell that completes, which must not start one or wait."""

from __future__ import annotations

import os
import socket

# Of each step; the server is on this machine as a rule.
_SECONDS = 0.3
_PORT = 5037


def listed_devices() -> list[tuple[str, str]]:
    """Serial and state of each device; none where no server answers at once.

    adbutils starts a server where none runs. Protocol: AOSP, packages/modules/adb, SERVICES.TXT (``host:devices``).
    """
    try:
        host = os.environ.get("ANDROID_ADB_SERVER_HOST") or "127.0.0.1"
        port = int(os.environ.get("ANDROID_ADB_SERVER_PORT") or _PORT)
        with socket.create_connection((host, port), timeout=_SECONDS) as connection:
            connection.sendall(b"000chost:devices")
            answer = connection.makefile("rb")
            if answer.read(4) != b"OKAY":
                return []
            text = answer.read(int(answer.read(4), 16)).decode("utf-8", "replace")
    except (OSError, ValueError):
        return []
    return [(serial, state) for serial, _, state in (line.partition("\t") for line in text.splitlines()) if serial]
