"""The phone that a command uses, among those that adb lists."""

from __future__ import annotations

from collections.abc import Sequence

from qnn_sd.errors import DeviceError
from qnn_sd.targets.adb.client.phone import Phone
from qnn_sd.targets.adb.client.server import Adb, AdbDevice

# adb's state of a phone that can be used.
READY = "device"
# What to do about a phone in another of adb's states (AOSP, packages/modules/adb, adb.h).
_HINTS = {
    "unauthorized": "Unlock the phone and allow USB debugging for this computer.",
    "authorizing": "The phone is about to ask for permission: look at its screen, then try again.",
    "offline": "Unplug the phone and plug it in again; if that doesn't help, type adb kill-server.",
    "no permissions": "Let your user use the phone: on Linux with android-udev-rules, then plug it in again.",
    "recovery": "Restart the phone into Android.",
    "bootloader": "Restart the phone into Android.",
    "sideload": "Restart the phone into Android.",
}


def choose_phone(adb: Adb, serial: str | None) -> Phone:
    """The phone of a serial, or the only one.

    Args:
        adb: the server.
        serial: as typed; None for the only phone.

    Raises:
        DeviceError: there is none, there are several, or it isn't ready; the hint says what to do.
    """
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
        hint="Type qnn-sd devices; a phone in the network needs adb connect first.",
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
        raise DeviceError(
            f"{device.serial} can't be used",
            why=f"adb says: {device.state}.",
            hint=_HINTS.get(device.state, "Unplug the phone and plug it in again."),
        )
