"""Which phones there are, which one is meant, and what a phone says of itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from qnn_sd.config import DeviceProfile, load_profile, socs
from qnn_sd.device_properties import VIRTUAL_PHONE_PROPERTY
from qnn_sd.errors import DeviceError, UnknownSocError, did_you_mean
from qnn_sd.targets.adb.client.adb import Adb, AdbDevice, Phone

READY = "device"
# What a person does about a phone in each of adb's states (AOSP, packages/modules/adb, adb.h).
_CURES = {
    "unauthorized": "Unlock the phone and allow USB debugging for this computer.",
    "authorizing": "The phone is about to ask whether it may: look at its screen, then try again.",
    "offline": "Unplug the phone and plug it in again; if that doesn't help, type adb kill-server.",
    "no permissions": "Let your user use the phone: on Linux with android-udev-rules, then plug it in again.",
    "recovery": "Restart the phone into Android.",
    "bootloader": "Restart the phone into Android.",
    "sideload": "Restart the phone into Android.",
}
# Where everything of qnn-sd stands; shell may write there, and the DSP may read it.
HOME = "/data/local/tmp/qnn-sd"
_FACTS = ("ro.product.model", "ro.soc.model", "ro.build.version.sdk")


@dataclass(frozen=True)
class PhoneInfo:
    """What a phone says of itself.

    Attributes:
        model: as its maker calls it.
        soc: ``ro.soc.model``, such as SM8650; empty where the phone doesn't say.
        profile: name of the matching device profile, or None.
        sdk: Android's API level.
        free_bytes: room where things are staged.
        battery_percent: charge, or None where it can't be read.
        celsius: the battery's temperature, or None.
    """

    model: str
    soc: str
    profile: str | None
    sdk: int
    free_bytes: int
    battery_percent: int | None
    celsius: float | None


def choose_phone(adb: Adb, serial: str | None) -> Phone:
    """The phone that is meant.

    Args:
        adb: the server.
        serial: as typed; None where there is only one.

    Raises:
        DeviceError: there is none, there are several, or it can't be used; each says what to do.
    """
    listed = adb.listed()
    if serial is None:
        return adb.phone(_only(listed).serial)
    for phone in listed:
        if phone.serial == serial:
            _require_ready(phone)
            return adb.phone(serial)
    raise DeviceError(
        f"There is no phone {serial!r}",
        why=did_you_mean(serial, [phone.serial for phone in listed]) if listed else "adb lists none at all.",
        hint="Type qnn-sd devices; a phone in the network needs adb connect first.",
    )


def _only(listed: Sequence[AdbDevice]) -> AdbDevice:
    ready = [phone for phone in listed if phone.state == READY]
    if len(ready) == 1:
        return ready[0]
    if ready:
        raise DeviceError(
            "There are several phones",
            why=", ".join(phone.serial for phone in ready),
            hint=f"Say which one: --device {ready[0].serial}.",
        )
    if listed:
        _require_ready(listed[0])
    raise DeviceError(
        "There is no phone",
        why="adb lists none.",
        hint="Plug one in and allow USB debugging (Settings, Developer options); or try qnn-sd virtual-phone.",
    )


def _require_ready(phone: AdbDevice) -> None:
    if phone.state != READY:
        raise DeviceError(
            f"{phone.serial} can't be used",
            why=f"adb says: {phone.state}.",
            hint=_CURES.get(phone.state, "Unplug the phone and plug it in again."),
        )


def phone_info(phone: Phone) -> PhoneInfo:
    """Asks a phone.

    Raises:
        DeviceError: it went away, or is no Android phone.
    """
    told = properties(phone, _FACTS)
    soc = told["ro.soc.model"]
    battery = phone.shell("dumpsys battery").text
    level, tenths = (_number(rf"^\s*{name}: (-?\d+)", battery) for name in ("level", "temperature"))
    sdk = told["ro.build.version.sdk"]
    return PhoneInfo(
        told["ro.product.model"],
        soc,
        soc.lower() if soc.lower() in socs() else None,
        int(sdk) if sdk.isdigit() else 0,
        free_bytes(phone),
        level,
        None if tenths is None else tenths / 10,
    )


def properties(phone: Phone, names: Sequence[str]) -> dict[str, str]:
    """Android's system properties, by name; empty where the phone doesn't have one.

    Raises:
        DeviceError: it went away, or is no Android phone.
    """
    # Empty values at the end come as nothing.
    values = phone.ask("; ".join(f"getprop {name}" for name in names)).split("\n")
    return {name: value.strip() for name, value in zip_longest(names, values[: len(names)], fillvalue="")}


def free_bytes(phone: Phone) -> int:
    """Room where things are staged.

    Raises:
        DeviceError: the phone doesn't say.
    """
    # POSIX's df: the last line's fourth column is what is free, in units of 1024 bytes.
    answer = phone.ask("df -k /data/local/tmp")
    fields = answer.split("\n")[-1].split()
    if len(fields) < 4 or not fields[3].isdigit():
        raise DeviceError(
            f"{phone.serial} doesn't say how much room it has",
            why=f"df answered {answer!r}.",
            hint="Try adb shell df -k /data/local/tmp.",
        )
    return 1024 * int(fields[3])


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text, re.MULTILINE)
    return int(found[1]) if found else None


def profile_of(phone: Phone, soc: str | None) -> DeviceProfile:
    """The device profile whose binaries a phone gets.

    Args:
        phone: asked for its SoC, unless one is given.
        soc: as typed, for a phone that doesn't say, or on the user's own risk.

    Raises:
        UnknownSocError: no profile of that name, or none for the phone's SoC.
    """
    if soc is not None:
        return load_profile(soc)
    said = phone.ask("getprop ro.soc.model").strip()
    if said.lower() in socs():
        return load_profile(said.lower())
    platform = phone.ask("getprop ro.board.platform").strip()
    raise UnknownSocError(
        f"There is no profile for {phone.serial}",
        why=f"It says it is {said or 'nothing (ro.soc.model is empty)'}, platform {platform or 'unknown'}.",
        hint=f"If it has the Hexagon of one of {', '.join(socs())}, add --soc with its name.",
    )


def is_virtual(phone: Phone) -> bool:
    """Whether it is ``qnn-sd virtual-phone``, which runs the worker with this machine's own libraries.

    Raises:
        DeviceError: it went away.
    """
    return phone.ask(f"getprop {VIRTUAL_PHONE_PROPERTY}").strip() == "1"
