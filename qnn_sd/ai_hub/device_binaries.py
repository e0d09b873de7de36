"""Whose context binaries a cloud device gets: its SoC's own, or by the rule for phones without a profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qnn_sd.ai_hub.cloud_devices import CloudDevice, profile_of
from qnn_sd.config import DeviceProfile, KnownSoc, known_soc, soc_named, stand_in
from qnn_sd.config.soc_names import known_part
from qnn_sd.errors import HubDeviceError


@dataclass(frozen=True)
class DeviceBinaries:
    """Which binaries a device gets.

    Attributes:
        profile: whose.
        remark: why another SoC's; empty for its own.
    """

    profile: DeviceProfile
    remark: str = ""


def binaries_for(device: CloudDevice) -> DeviceBinaries:
    """Which binaries a device gets.

    Raises:
        HubDeviceError: it has no QNN, its SoC isn't known, or no binaries load there.
    """
    if not device.runs_context_binaries:
        raise HubDeviceError(
            f"{device.name} doesn't run context binaries",
            why="AI Hub lists it without QNN (framework:qnn).",
            hint="qnn-sd hub devices lists those that do.",
        )
    if profile := profile_of(device):
        return DeviceBinaries(profile)
    chip = next(_chips(device), None)
    other = None if chip is None else stand_in(chip.name)
    if other is not None:
        return DeviceBinaries(other.profile, other.reason)
    why = f"Its SoC isn't known here: {', '.join(device.chipsets) or 'AI Hub names none'}."
    if chip is not None:
        why = f"It is {chip.described}, and no profile's binaries load there."
    raise HubDeviceError(
        f"There are no binaries for {device.name}",
        why=why,
        hint="qnn-sd hub devices lists the devices with their SoC; docs/socs.md says how to add a profile.",
    )


def _chips(device: CloudDevice) -> Iterator[KnownSoc]:
    """The SoCs that a device may have, the surest first: by its chip's name, then by number where the HTP agrees."""
    for name in device.chipsets:
        chip = soc_named(known_part(name) or name.removeprefix("qualcomm-"))
        if chip is not None:
            yield chip
    # AI Hub's number isn't known to be QNN's: it counts where both name the same HTP.
    numbered = None if device.soc_model is None else known_soc(device.soc_model)
    if numbered is not None and device.hexagon is not None and numbered.htp_arch == device.hexagon:
        yield numbered
