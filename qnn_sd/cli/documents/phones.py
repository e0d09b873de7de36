"""Documents of ``qnn-sd devices``, ``unstage`` and ``virtual-phone``, and what several say of a phone."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document
from qnn_sd.targets.adb.client import PhoneInfo
from qnn_sd.targets.adb.worker.protocol import Battery, ThermalZone


class BatteryState(StrictModel):
    """A phone's battery.

    Attributes:
        percent: charge.
        celsius: its temperature.
    """

    percent: float
    celsius: float

    @classmethod
    def of(cls, battery: Battery | None) -> Self | None:
        """As JSON; None where it can't be read."""
        return None if battery is None else cls(percent=battery.percent, celsius=battery.degrees)


class ThermalZoneState(StrictModel):
    """A thermal sensor of a phone's kernel.

    Attributes:
        name: the kernel's.
        celsius: its temperature.
    """

    name: str
    celsius: float

    @classmethod
    def of(cls, zone: ThermalZone) -> Self:
        """As JSON."""
        return cls(name=zone.name, celsius=zone.degrees)


class PhoneDescription(StrictModel):
    """A phone.

    Attributes:
        device: its serial number, as adb names it.
        product: what its maker calls it (``ro.product.model``).
        reported_soc: ``ro.soc.model``, such as SM8650; empty where the phone doesn't say.
        sdk: Android's API level.
    """

    device: str
    product: str
    reported_soc: str
    sdk: int

    @classmethod
    def of(cls, device: str, info: PhoneInfo) -> Self:
        """A phone that was asked."""
        return cls(device=device, product=info.model, reported_soc=info.soc, sdk=info.sdk)


class ListedDevice(StrictModel):
    """A phone that adb lists. All but its name and state is null where it isn't ready.

    Attributes:
        device: its serial number, as adb names it.
        state: adb's word; ``device`` is one that is ready.
        product: what its maker calls it (``ro.product.model``).
        reported_soc: ``ro.soc.model``, such as SM8650; empty where the phone doesn't say.
        soc: the matching device profile; null where there is none.
        stand_in: the device profile whose binaries it gets where there is none; null where none load.
        sdk: Android's API level.
        free_bytes: free space where qnn-sd stages files.
        battery_percent: charge; null where it can't be read.
        battery_celsius: the battery's temperature; null where it can't be read.
        problem: why a phone that adb calls ready couldn't be asked; null where it could, or isn't ready.
    """

    device: str
    state: str
    product: str | None = None
    reported_soc: str | None = None
    soc: str | None = None
    stand_in: str | None = None
    sdk: int | None = None
    free_bytes: int | None = None
    battery_percent: int | None = None
    battery_celsius: float | None = None
    problem: str | None = None


class DevicesDocument(Document):
    """The phones that adb lists, as ``qnn-sd devices`` shows them.

    Attributes:
        devices: in adb's order.
    """

    schema_id: Literal["qnn-sd/devices/1"] = Field("qnn-sd/devices/1", alias="schema")
    devices: list[ListedDevice]


class UnstageDocument(Document):
    """What ``qnn-sd unstage`` removed.

    Attributes:
        device: the phone's serial number, as adb names it.
        removed_folders: on the phone.
        ended_worker: whether a warm worker was running and was ended.
    """

    schema_id: Literal["qnn-sd/unstage/1"] = Field("qnn-sd/unstage/1", alias="schema")
    device: str
    removed_folders: list[str]
    ended_worker: bool


class VirtualPhoneStopDocument(Document):
    """The phones that ``qnn-sd virtual-phone --stop`` ended.

    Attributes:
        devices: their addresses, by which adb named them.
    """

    schema_id: Literal["qnn-sd/virtual-phone-stop/1"] = Field("qnn-sd/virtual-phone-stop/1", alias="schema")
    devices: list[str]


class VirtualPhoneDocument(Document):
    """The phone that ``qnn-sd virtual-phone`` runs; printed when it is ready for adb, or adb for it.

    Attributes:
        device: its address, by which adb names it.
        pid: its process.
        log_file: where one that runs in the background writes its messages; null for another.
        soc: that it has.
        serialno: its ``ro.serialno``.
        folder: of the phone.
        files_folder: of the phone's files, below it.
    """

    schema_id: Literal["qnn-sd/virtual-phone/1"] = Field("qnn-sd/virtual-phone/1", alias="schema")
    device: str
    pid: int
    log_file: str | None
    soc: str
    serialno: str
    folder: str
    files_folder: str
