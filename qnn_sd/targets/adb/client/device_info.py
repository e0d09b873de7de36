"""Model, SoC, free space and battery of a phone, and the device profile that goes with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from qnn_sd.adb_program import adb_command
from qnn_sd.config import DeviceProfile, caution_for, find_profile, load_profile, no_binaries, stand_in
from qnn_sd.device_properties import LOCAL_TMP, VIRTUAL_PHONE_PROPERTY
from qnn_sd.errors import DeviceError
from qnn_sd.targets.adb.client.phone import Phone


@dataclass(frozen=True)
class PhoneInfo:
    """What a phone reports of itself.

    Attributes:
        model: the name that its maker gives it.
        soc: ``ro.soc.model``, such as SM8650; empty if the phone doesn't report it.
        profile: name of the matching device profile, or None.
        sdk: Android's API level; 0 if the phone doesn't report it.
        free_bytes: free space of the partition that files are staged on.
        battery_percent: charge, or None if it can't be read.
        celsius: the battery's temperature, or None.
    """

    model: str
    soc: str
    profile: str | None
    sdk: int
    free_bytes: int
    battery_percent: int | None
    celsius: float | None


def phone_info(phone: Phone) -> PhoneInfo:
    """Asks a phone for its model, SoC, Android version, free space and battery.

    Raises:
        DeviceError: the connection was lost, or it is no Android phone.
    """
    values = system_properties(phone, ("ro.product.model", "ro.soc.model", "ro.build.version.sdk"))
    soc, sdk = values["ro.soc.model"], values["ro.build.version.sdk"]
    profile = find_profile(soc)
    battery = phone.shell("dumpsys battery").text
    level, tenths = (_number(rf"^\s*{name}: (-?\d+)", battery) for name in ("level", "temperature"))
    return PhoneInfo(
        values["ro.product.model"],
        soc,
        None if profile is None else profile.soc,
        int(sdk) if sdk.isdigit() else 0,
        free_bytes(phone),
        level,
        None if tenths is None else tenths / 10,
    )


def system_properties(phone: Phone, names: Sequence[str]) -> dict[str, str]:
    """Android's system properties by name; empty for one that the phone doesn't have.

    Raises:
        DeviceError: the connection was lost, or it is no Android phone.
    """
    # Empty values at the end of the output are missing from the text.
    values = phone.ask("; ".join(f"getprop {name}" for name in names)).split("\n")
    return {name: value.strip() for name, value in zip_longest(names, values[: len(names)], fillvalue="")}


def free_bytes(phone: Phone) -> int:
    """Free space of the partition that files are staged on.

    Raises:
        DeviceError: the phone doesn't report it.
    """
    # POSIX's df: the last line's fourth column is the free space in units of 1024 bytes.
    command = f"df -k {LOCAL_TMP}"
    answer = phone.ask(command)
    fields = answer.split("\n")[-1].split()
    if len(fields) < 4 or not fields[3].isdigit():
        raise DeviceError(
            f"{phone.serial} doesn't report its free space",
            why=f"df answered {answer!r}.",
            hint=f"Try {adb_command('-s', phone.serial, 'shell', command)}.",
        )
    return 1024 * int(fields[3])


def _number(pattern: str, text: str) -> int | None:
    match = re.search(pattern, text, re.MULTILINE)
    return int(match[1]) if match else None


@dataclass(frozen=True)
class ProfileChoice:
    """Whose binaries a phone gets.

    Attributes:
        profile: whose.
        reported: ``ro.soc.model``; empty if the phone doesn't report it.
        remark: what is to be said of it: that they are another SoC's, and why these; empty where they are its own.
    """

    profile: DeviceProfile
    reported: str
    remark: str = ""


def choose_profile(phone: Phone, soc: str | None) -> ProfileChoice:
    """The device profile whose binaries a phone gets: its SoC's, or the newest that its HTP loads.

    Args:
        phone: asked for its SoC.
        soc: as typed, for a phone that doesn't report its SoC, or at the user's own risk; else None.

    Raises:
        UnknownSocError: there is no profile of that name, or none whose binaries load on the phone's SoC.
        ConfigError: a profile's file is wrong.
    """
    typed = None if soc is None else load_profile(soc)
    model = phone.ask("getprop ro.soc.model").strip()
    own = find_profile(model)
    if typed is not None:
        return ProfileChoice(typed, model, _remark_on_typed(phone, typed, own, model))
    if own is not None:
        return ProfileChoice(own, model)
    other = stand_in(model)
    if other is not None:
        return ProfileChoice(other.profile, model, f"{phone.serial}: {other.reason}")
    raise no_binaries(phone.serial, model, phone.ask("getprop ro.board.platform").strip())


def _remark_on_typed(phone: Phone, typed: DeviceProfile, own: DeviceProfile | None, model: str) -> str:
    if not model or (own is not None and own.soc == typed.soc):
        return ""
    text = f"{phone.serial} is {own.soc if own else model}, and gets the binaries for {typed.soc} that --soc names"
    caution = caution_for(typed, model)
    return f"{text}: {caution}" if caution else text


def profile_of(phone: Phone, soc: str | None) -> DeviceProfile:
    """The device profile of ``choose_profile``.

    Raises:
        UnknownSocError: there is no profile of that name, or none whose binaries load on the phone's SoC.
        ConfigError: a profile's file is wrong.
    """
    return choose_profile(phone, soc).profile


def other_soc(phone: Phone, soc: str) -> str | None:
    """``ro.soc.model`` of a phone that isn't a profile's SoC; None where it is, or where it doesn't report one.

    Args:
        phone: asked for it.
        soc: the profile's name.

    Raises:
        DeviceError: the connection was lost.
    """
    model = phone.ask("getprop ro.soc.model").strip()
    own = find_profile(model)
    return None if not model or (own is not None and own.soc == soc) else model


def is_virtual(phone: Phone) -> bool:
    """Whether it is ``qnn-sd virtual-phone``, which runs the worker with this machine's own libraries.

    Raises:
        DeviceError: the connection was lost.
    """
    return phone.ask(f"getprop {VIRTUAL_PHONE_PROPERTY}").strip() == "1"
