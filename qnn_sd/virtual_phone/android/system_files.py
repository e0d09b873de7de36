"""The folders that a phone has from the start, and the readings in its /proc and /sys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.device_properties import LOCAL_TMP
from qnn_sd.virtual_phone.android.file_system import SHARED_STORAGE

# Names as the kernel of a Snapdragon gives them (nsphvx: the Hexagon vector unit), in thousandths of a degree.
_THERMAL_ZONES = (("cpu-0-0-0", 36_000), ("gpuss-0", 35_000), ("nsphvx-0", 35_500), ("battery", 29_000))
_FOLDERS = (LOCAL_TMP, SHARED_STORAGE, "/system/bin", "/vendor/lib64", "/proc", "/sys/class/thermal")
_MEMORY_LINES = re.compile(r"^(?:MemTotal|MemFree|MemAvailable|SwapTotal|SwapFree):.*\n", re.M)


@dataclass(frozen=True)
class Battery:
    """The state of the battery.

    Attributes:
        level: charge, percent.
        temperature: degrees Celsius.
    """

    level: int = 84
    temperature: float = 29.0


def create_system_files(root: Path, battery: Battery) -> None:
    """Creates the folders and files that a phone has from the start; existing ones stay.

    Args:
        root: the host's folder that is ``/`` on the phone.
        battery: the state of the battery.
    """
    for folder in _FOLDERS:
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    sdcard = root / "sdcard"
    if not sdcard.is_symlink():
        sdcard.symlink_to(SHARED_STORAGE)
    # The worker runs in this machine's memory, so the phone reports that.
    memory = _MEMORY_LINES.findall(Path("/proc/meminfo").read_text("utf-8"))
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
