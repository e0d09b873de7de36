"""The devices that the stand-in lists: those that the device profiles know by AI Hub's names."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.version import InvalidVersion, Version
from qai_hub import public_api_pb2 as api

from qnn_sd.config import DeviceProfile, profiles

STAND_IN_ATTRIBUTE = "qnn-sd:stand-in"
# Versions of Android by the SoC; several for one name, as AI Hub has them.
_ANDROID = {
    "sm8350": ("11", "12"),
    "sm8450": ("12", "13"),
    "sm8550": ("13", "14"),
    "sm8650": ("14", "15"),
    "sm8750": ("15",),
    "sm8850": ("16",),
    "sm8950": ("17",),
}
# What AI Hub's device attributes say otherwise than the profile: its QCS8550 is a phone's chip.
_SOC_MODELS = {"QCS8550 (Proxy)": 43}
_FRAMEWORKS = ("framework:onnx", "framework:qnn", "framework:tflite")


@dataclass(frozen=True)
class StandInDevice:
    """A device.

    Attributes:
        name: as AI Hub has it.
        os: version.
        attributes: as AI Hub has them, and ``qnn-sd:stand-in``.
        profile: of its SoC.
    """

    name: str
    os: str
    attributes: tuple[str, ...]
    profile: DeviceProfile

    def message(self) -> api.Device:
        """As the client takes it."""
        return api.Device(name=self.name, os=self.os, attributes=self.attributes, soc_description=self.profile.title)


def all_devices() -> list[StandInDevice]:
    """All devices, those of a SoC together; the same name with each of its OS versions."""
    found = []
    for profile in profiles().values():
        for name in profile.ai_hub.devices:
            found += [_device(name, version, profile) for version in _versions(name, profile)]
    return found


def _versions(name: str, profile: DeviceProfile) -> tuple[str, ...]:
    if name.endswith("(Proxy)"):
        return ("12",)
    return _ANDROID.get(profile.soc, ("11",) if name.startswith("Snapdragon X") else ("14",))


def _device(name: str, os: str, profile: DeviceProfile) -> StandInDevice:
    system = "windows" if name.startswith("Snapdragon X") and "XR" not in name else "android"
    kind = "phone" if name.startswith(("Samsung Galaxy S", "Xiaomi")) or name.endswith("QRD") else "iot"
    vendor = name.split(maxsplit=1)[0].lower() if name.startswith(("Samsung", "Xiaomi", "Arduino")) else "qualcomm"
    attributes = (
        *(f"chipset:{chipset}" for chipset in _chipsets(name, profile)),
        f"soc-model:{_SOC_MODELS.get(name, profile.soc_model)}",
        f"hexagon:v{profile.htp_arch}",
        f"htp-supports-fp16:{str(bool(profile.limits.fp16)).lower()}",
        *_FRAMEWORKS,
        f"os:{system}",
        f"vendor:{vendor}",
        f"format:{'compute' if system == 'windows' else kind}",
        STAND_IN_ATTRIBUTE,
    )
    return StandInDevice(name, os, attributes, profile)


def _chipsets(name: str, profile: DeviceProfile) -> list[str]:
    """Of the SoC's names those that are the device's: a proxy's, a Galaxy's, or that of one part of a family."""
    names, first = profile.ai_hub.chipsets, name.split(maxsplit=1)[0].lower()
    for marks in (
        [each for each in names if name.endswith("(Proxy)") and each.endswith("-proxy")],
        [each for each in names if each == f"qualcomm-{first}"],
        [each for each in names if name.startswith("Samsung") and each.endswith("-for-galaxy")],
    ):
        if marks:
            return marks
    return [each for each in names if not each.endswith(("-proxy", "-for-galaxy"))]


def matching(devices: list[StandInDevice], name: str, os: str, attributes: list[str]) -> list[StandInDevice]:
    """Those that a query asks for, the newest OS version of a name first.

    Args:
        devices: to choose from.
        name: exact; empty for any.
        os: a version (``14``), an interval (``[14,15)``), or empty.
        attributes: that each must have.
    """
    found = [
        each
        for each in devices
        if (not name or each.name == name)
        and (not os or _is_version(each.os, os))
        and set(attributes) <= set(each.attributes)
    ]
    return sorted(found, key=lambda each: (devices.index(first_of(devices, each)), _ordered(each.os)))


def first_of(devices: list[StandInDevice], device: StandInDevice) -> StandInDevice:
    """The first of a device's name."""
    return next(each for each in devices if each.name == device.name)


def _ordered(os: str) -> tuple[int, ...]:
    return tuple(-part for part in Version(os).release)


def _is_version(found: str, asked: str) -> bool:
    try:
        if not asked.startswith("["):
            return Version(found) == Version(asked)
        least, _, most = asked[1:].rstrip(")").partition(",")
        return (not least or Version(found) >= Version(least)) and (not most or Version(found) < Version(most))
    except InvalidVersion:
        return False
