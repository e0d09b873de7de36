"""Which binaries run on which device, and what a build has to run them with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qnn_sd.ai_hub import ALL_DEVICES, CloudDevice, HubService, binaries_for, one_per_soc, profile_of
from qnn_sd.binaries.found import find_binaries
from qnn_sd.cli.hub_network import networks_of
from qnn_sd.cli.options import open_profile
from qnn_sd.cli.verify_hub_references import ComponentOfBuild
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import HubDeviceError
from qnn_sd.pipeline import BuildPipeline


@dataclass(frozen=True)
class HubTarget:
    """A device, and whose binaries run on it.

    Attributes:
        device: at AI Hub.
        profile: of the binaries' SoC.
    """

    device: CloudDevice
    profile: DeviceProfile


def open_targets(service: HubService, names: Sequence[str], soc: str | None, console: Console) -> list[HubTarget]:
    """The devices that were named, each once.

    Args:
        service: whose devices they are.
        names: as they were typed; ``all`` for one device of every SoC that has a profile.
        soc: whose binaries are to run; None for each device's own.
        console: gets warnings.

    Raises:
        HubDeviceError: there is none of that name, no binaries load there, or its HTP isn't that of the binaries.
        UnknownSocError: no profile has the SoC's name.
    """
    targets: dict[CloudDevice, HubTarget] = {}
    for name in names:
        is_all = name.strip().lower() == ALL_DEVICES
        for device in one_per_soc(service.devices()) if is_all else [service.find_device(name)]:
            if device not in targets:
                targets[device] = HubTarget(device, _profile_for(device, soc, console))
    return list(targets.values())


def _profile_for(device: CloudDevice, soc: str | None, console: Console) -> DeviceProfile:
    own = profile_of(device)
    if soc is None:
        chosen = binaries_for(device)
        profile, remark = chosen.profile, chosen.remark
    else:
        profile, remark = open_profile(soc, console), ""
        if own is not None and own.soc != profile.soc:
            remark = f"{device.name} has another chip, {own.title}: binaries for {profile.soc} run on it"
    _refuse_other_htp(device, device.hexagon or (own.htp_arch if own else None), profile)
    if remark:
        console.warn(remark)
    return profile


def _refuse_other_htp(device: CloudDevice, htp_arch: int | None, profile: DeviceProfile) -> None:
    """Refuses a device on which the binaries would be something else, before anything is uploaded."""
    if htp_arch is None or htp_arch == profile.htp_arch:
        return
    raise HubDeviceError(
        f"{device.name} can't show what binaries for {profile.soc} compute",
        why=f"They are for HTP v{profile.htp_arch}, and it has an HTP v{htp_arch}.",
        hint="Leave --soc out: the device's own binaries are built.",
    )


def components_of_build(
    pipeline: BuildPipeline, profile: DeviceProfile, names: Sequence[str]
) -> list[ComponentOfBuild]:
    """The components of a build that is there, with the inputs that the emulator was asked for.

    Raises:
        BinaryError: a binary can't be read, or holds several graphs.
    """
    asked, model = (None, *range(pipeline.model.verification.images)), pipeline.model.name
    seconds = {each.name: each.seconds for each in pipeline.reports if each.stage == "verify"}
    recorded, found = pipeline.verification(), []
    for name in names:
        compiled, qdq, source = pipeline.compile(name, profile), pipeline.quantize(name), pipeline.export(name)
        found.append(
            ComponentOfBuild(
                model,
                profile.soc,
                networks_of(find_binaries(compiled.folder), [name])[name],
                {"float": source.folder, "qdq": qdq.folder},
                {"float": source.key, "qdq": qdq.key, "binary": compiled.key, "verification": recorded.key},
                [each for each in pipeline.verification_inputs(name) if each.trajectory in asked],
                seconds.get(f"{model}.{name}.{profile.soc}", 0.0),
            )
        )
    return found
