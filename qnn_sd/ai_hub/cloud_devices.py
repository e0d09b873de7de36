"""The devices of an account: by their names, their chips, or the SoCs that have a profile."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qnn_sd.config import DeviceProfile, load_profile, profiles
from qnn_sd.config.soc_names import name_key
from qnn_sd.console import Console
from qnn_sd.errors import HubDeviceError, UnknownSocError
from qnn_sd.in_words import shown

_PROXY = "(Proxy)"
_STAND_IN = "qnn-sd:stand-in"
_CHIPSET, _HEXAGON, _SOC_MODEL = "chipset:", "hexagon:v", "soc-model:"
ALL_DEVICES = "all"
_NEAR = 4
_NAME_LETTERS = 80


@dataclass(frozen=True)
class CloudDevice:
    """A device at AI Hub.

    Attributes:
        name: such as ``Samsung Galaxy S24``.
        os: version of its operating system.
        attributes: such as ``chipset:qualcomm-snapdragon-8gen3`` and ``framework:qnn``.
    """

    name: str
    os: str
    attributes: tuple[str, ...]

    @property
    def chipsets(self) -> tuple[str, ...]:
        """What AI Hub calls its SoC."""
        return tuple(_after(_CHIPSET, self.attributes))

    @property
    def hexagon(self) -> int | None:
        """Version of its HTP, such as 75; None where AI Hub doesn't say."""
        return _number(_HEXAGON, self.attributes)

    @property
    def soc_model(self) -> int | None:
        """Its SoC's number as AI Hub gives it; None where it doesn't. Not known to be QNN's."""
        return _number(_SOC_MODEL, self.attributes)

    @property
    def is_proxy(self) -> bool:
        """Whether it is other hardware that stands for the named chip."""
        return self.name.endswith(_PROXY)

    @property
    def is_stand_in(self) -> bool:
        """Whether the stand-in of this package answers for it."""
        return _STAND_IN in self.attributes

    @property
    def runs_context_binaries(self) -> bool:
        """Whether it has QNN."""
        return "framework:qnn" in self.attributes


def _after(prefix: str, attributes: Iterable[str]) -> Iterable[str]:
    return (each.removeprefix(prefix) for each in attributes if each.startswith(prefix))


def _number(prefix: str, attributes: Iterable[str]) -> int | None:
    return next((int(each) for each in _after(prefix, attributes) if each.isdecimal()), None)


def profile_of(device: CloudDevice) -> DeviceProfile | None:
    """The profile of a device's SoC, by its chip's name or by its own; None where there is none."""
    known = profiles().values()
    by_chip = (each for each in known if set(each.ai_hub.chipsets) & set(device.chipsets))
    by_name = (each for each in known if device.name in each.ai_hub.devices)
    return next(by_chip, None) or next(by_name, None)


def find_device(name: str, devices: Sequence[CloudDevice], console: Console) -> CloudDevice:
    """The device that a name means.

    Args:
        name: of a device, of its chip (``qualcomm-snapdragon-8gen3``) or of a SoC that has a profile (``8 Gen 3``);
            case and spaces don't matter.
        devices: the account's.
        console: is told which one was chosen where several fit.

    Raises:
        HubDeviceError: none fits.
    """
    # Near names of a long one take minutes to find.
    name = shown(name, _NAME_LETTERS)
    key = name_key(name)
    named = [each for each in devices if name_key(each.name) == key]
    if named:
        return _told(_newest(named, console), console)
    by_chip = _with_chip(name, devices) or _with_soc(name, devices)
    if not by_chip:
        raise _no_device(name, devices)
    chosen = _newest(_of_one_name(by_chip), console)
    console.say_once(f"{name}: {chosen.name}")
    return _told(chosen, console)


def one_per_soc(devices: Sequence[CloudDevice]) -> list[CloudDevice]:
    """Of each SoC that has a profile one device that runs context binaries: real hardware before a proxy.

    Raises:
        HubDeviceError: there are none.
    """
    found = []
    for profile in profiles().values():
        fitting = [each for each in devices if each.runs_context_binaries and profile_of(each) == profile]
        if fitting:
            found.append(_by_version(_of_one_name(fitting, profile.ai_hub.devices))[0])
    if not found:
        raise HubDeviceError(
            "AI Hub has no device whose SoC has a profile",
            why=f"The account's {len(devices)} devices have other chips.",
            hint="qnn-sd hub devices lists them; docs/socs.md says how to add a profile.",
        )
    return found


def device_names() -> list[tuple[str, str | None]]:
    """Names of devices that profiles have, with their SoC's, for a shell that completes."""
    named = [(name, profile.title) for profile in profiles().values() for name in profile.ai_hub.devices]
    return [*named, (ALL_DEVICES, "one device of every SoC that has a profile")]


def _with_chip(name: str, devices: Sequence[CloudDevice]) -> list[CloudDevice]:
    chip = name_key(name.strip().lower().removeprefix(_CHIPSET))
    return [each for each in devices if chip in map(name_key, each.chipsets)]


def _with_soc(name: str, devices: Sequence[CloudDevice]) -> list[CloudDevice]:
    profile = _soc_meant(name)
    return [] if profile is None else [each for each in devices if profile_of(each) == profile]


def _soc_meant(name: str) -> DeviceProfile | None:
    """The SoC that was named; None where a device was: if that one is gone, another isn't taken in its place."""
    try:
        profile = load_profile(name)
    except UnknownSocError:
        return None
    return None if name_key(name) in map(name_key, profile.ai_hub.devices) else profile


def _of_one_name(devices: Sequence[CloudDevice], preferred: Sequence[str] = ()) -> list[CloudDevice]:
    """Those of the name that comes first: QNN before none, hardware before a proxy, then as the profile lists them."""

    def rank(each: CloudDevice) -> tuple[bool, bool, int, str]:
        listed = preferred or (profile.ai_hub.devices if (profile := profile_of(each)) else ())
        place = listed.index(each.name) if each.name in listed else len(listed)
        return not each.runs_context_binaries, each.is_proxy, place, each.name

    first = min(devices, key=rank).name
    return [each for each in devices if each.name == first]


def _by_version(devices: Sequence[CloudDevice]) -> list[CloudDevice]:
    def version(each: CloudDevice) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", each.os))

    return sorted(devices, key=version, reverse=True)


def _newest(devices: Sequence[CloudDevice], console: Console) -> CloudDevice:
    ordered = _by_version(devices)
    versions = list(dict.fromkeys(each.os for each in ordered))
    if len(versions) > 1:
        console.say_once(
            f"{ordered[0].name}: its newest system, {versions[0]} (AI Hub also has {', '.join(versions[1:])})"
        )
    return ordered[0]


def _told(device: CloudDevice, console: Console) -> CloudDevice:
    if device.is_proxy:
        console.say_once(f"{device.name} is other hardware with the same HTP: its times are not a phone's")
    return device


def _no_device(name: str, devices: Sequence[CloudDevice]) -> HubDeviceError:
    names = sorted({each.name for each in devices})
    same_soc = [each.name for each in devices if _stands_near(name, each)]
    near = list(dict.fromkeys([*same_soc, *near_names(name, names)]))
    why = f"Nearest: {', '.join(near)}." if near else f"The account has {len(names)} devices, and none has such a name."
    if any(each.endswith(_PROXY) for each in near):
        why += f" {_PROXY} is other hardware with the same HTP."
    soc = _soc_meant(name)
    what = (
        f"AI Hub has no device {name!r}" if soc is None else f"The account has no device with {soc.title} ({soc.soc})"
    )
    return HubDeviceError(what, why=why, hint="qnn-sd hub devices lists the account's devices.")


def near_names(name: str, names: Iterable[str]) -> list[str]:
    """Names of devices that one which there isn't may mean: those with all its words, then those spelt nearly so."""
    by_key = {name_key(each): each for each in names}
    words = name.lower().split()
    holding = [each for each in by_key.values() if words and all(word in each.lower() for word in words)]
    close = [by_key[each] for each in difflib.get_close_matches(name_key(name), by_key, n=_NEAR, cutoff=0.55)]
    return list(dict.fromkeys([*holding[:_NEAR], *close]))


def _stands_near(name: str, device: CloudDevice) -> bool:
    """Whether a device has the SoC that is meant, or is a proxy with the same HTP."""
    try:
        meant = load_profile(name)
    except UnknownSocError:
        return False
    return profile_of(device) == meant or (device.is_proxy and device.hexagon == meant.htp_arch)
