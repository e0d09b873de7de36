"""What a virtual phone says of itself: properties, and the files of /proc and /sys that people read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.config import DeviceProfile
from qnn_sd.device_properties import VIRTUAL_PHONE_PROPERTY
from qnn_sd.virtual_phone.files import HOME, SHARED_STORAGE

MODEL = "qnn-sd virtual phone"
# Android 15; ONNX Runtime's QNN plugin is known to work from API level 27 on.
_SDK, _RELEASE = "35", "15"

# Names as a Snapdragon's kernel gives them (nsphvx: the Hexagon vector unit), in thousandths of a degree.
_THERMAL_ZONES = (("cpu-0-0-0", 36_000), ("gpuss-0", 35_000), ("nsphvx-0", 35_500), ("battery", 29_000))

# Qualcomm's names of the generations' boards; a SoC that isn't here is named by its number.
_PLATFORMS = {"sm8550": "kalama", "sm8650": "pineapple"}


@dataclass(frozen=True)
class Battery:
    """The battery's state.

    Attributes:
        level: percent.
        temperature: degrees Celsius.
    """

    level: int = 84
    temperature: float = 29.0


def properties_of(profile: DeviceProfile, serial: str, changed: dict[str, str]) -> dict[str, str]:
    """Android's system properties of a phone with that SoC.

    Args:
        profile: of the SoC.
        serial: ``ro.serialno``.
        changed: values in place of these.
    """
    properties = {
        "ro.board.platform": _PLATFORMS.get(profile.soc, profile.soc),
        "ro.build.type": "user",
        "ro.build.version.release": _RELEASE,
        "ro.build.version.sdk": _SDK,
        "ro.hardware": "qcom",
        "ro.product.cpu.abi": "arm64-v8a",
        "ro.product.cpu.abilist": "arm64-v8a",
        "ro.product.device": "qnnsd",
        "ro.product.manufacturer": "qnn-sd",
        "ro.product.model": MODEL,
        "ro.product.name": "qnnsd",
        VIRTUAL_PHONE_PROPERTY: "1",
        "ro.serialno": serial,
        "ro.soc.manufacturer": "QTI",
        "ro.soc.model": profile.soc.upper(),
        "sys.boot_completed": "1",
    }
    return dict(sorted({**properties, **changed}.items()))


def banner(properties: dict[str, str], features: tuple[str, ...]) -> bytes:
    """What CNXN says of the phone (``get_connection_string`` of AOSP's ``adb.cpp``)."""
    told = [f"{name}={properties[name]}" for name in ("ro.product.name", "ro.product.model", "ro.product.device")]
    return f"device::{';'.join(told)};features={','.join(features)}".encode()


def make_tree(root: Path, battery: Battery) -> None:
    """Makes the folders and files that a phone has from the start; what is there stays.

    Args:
        root: the host's folder that is ``/`` on the phone.
        battery: the battery's state.
    """
    for folder in (HOME, SHARED_STORAGE, "/system/bin", "/vendor/lib64", "/proc", "/sys/class/thermal"):
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    sdcard = root / "sdcard"
    if not sdcard.is_symlink():
        sdcard.symlink_to(SHARED_STORAGE)
    # The worker runs in this machine's memory, so it is the phone's.
    memory = re.findall(r"^(?:MemTotal|MemFree|MemAvailable|SwapTotal|SwapFree):.*\n", _host("/proc/meminfo"), re.M)
    (root / "proc/meminfo").write_text("".join(memory))
    for number, (kind, temperature) in enumerate(_THERMAL_ZONES):
        zone = root / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(exist_ok=True)
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{temperature}\n")
    # Linux's power_supply class counts tenths of a degree, and percent.
    supply = root / "sys/class/power_supply/battery"
    supply.mkdir(parents=True, exist_ok=True)
    (supply / "capacity").write_text(f"{battery.level}\n")
    (supply / "temp").write_text(f"{round(battery.temperature * 10)}\n")


def _host(path: str) -> str:
    return Path(path).read_text("utf-8")
