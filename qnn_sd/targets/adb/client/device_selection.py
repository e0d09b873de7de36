"""The phone that a command uses, among those that adb lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qnn_sd.adb_program import adb_command
from qnn_sd.errors import DeviceError
from qnn_sd.targets.adb.client.arrival import await_phone
from qnn_sd.targets.adb.client.connection_errors import blocked
from qnn_sd.targets.adb.client.device_history import READY
from qnn_sd.targets.adb.client.phone import Phone
from qnn_sd.targets.adb.client.server import Adb, AdbDevice


def choose_phone(adb: Adb, serial: str | None, say: Callable[[str], None] = lambda _line: None) -> Phone:
    """The phone of a serial, or the only one; one that is just coming is waited for.

    Args:
        adb: the server.
        serial: as typed; None for the only phone.
        say: told if this waits.

    Raises:
        DeviceError: there is none, there are several, or it isn't ready; the hint says what to do.
    """
    await_phone(adb, serial, say)
    devices = adb.devices()
    if serial is None:
        return adb.phone(_only_device(devices).serial)
    for device in devices:
        if device.serial == serial:
            _require_ready(device)
            return adb.phone(serial)
    raise DeviceError(
        f"There is no phone {serial!r}",
        # Nothing is suggested: a serial that nearly fits is another phone.
        why=f"adb lists {', '.join(each.serial for each in devices)}." if devices else "adb lists none at all.",
        hint=f"Type qnn-sd devices; a phone in the network needs {adb_command('connect', 'ADDRESS')} first.",
    )


def _only_device(devices: Sequence[AdbDevice]) -> AdbDevice:
    ready = [device for device in devices if device.state == READY]
    if len(ready) == 1:
        return ready[0]
    if ready:
        raise DeviceError(
            "There are several phones",
            why=", ".join(device.serial for device in ready),
            hint=f"Say which one: --device {ready[0].serial}.",
        )
    if devices:
        _require_ready(devices[0])
    raise DeviceError(
        "There is no phone",
        why="adb lists none.",
        hint="Plug one in and allow USB debugging (Settings, Developer options); or try qnn-sd virtual-phone.",
    )


def _require_ready(device: AdbDevice) -> None:
    if device.state != READY:
        raise blocked(device.serial, device.state)
