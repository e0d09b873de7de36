"""What a profile is of: known when its jobs are submitted, and again from the journal when they are taken up later."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, get_type_hints

from qnn_sd.ai_hub import CloudDevice, DeviceBinaries
from qnn_sd.ai_hub.journal import JobEntry
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.config import ModelConfig

_COMMAND = "profile"


@dataclass(frozen=True)
class ProfileFacts:
    """One build on one device.

    Attributes:
        bundle: name of the bundle's folder in the cache.
        model: name of the model config.
        width: of the image in pixels.
        height: of the image in pixels.
        steps: sampling steps of an image.
        passes: guidance passes in a step.
        device: its name at AI Hub.
        os: version of its system.
        is_proxy: whether it is other hardware.
        soc: whose binaries run.
        remark: why another SoC's binaries; empty for its own.
        qairt: release that the jobs ask for; empty for AI Hub's choice.
        iterations: calls that a job measures at most; 0 for AI Hub's own number.
    """

    bundle: str
    model: str
    width: int
    height: int
    steps: int
    passes: int
    device: str
    os: str
    is_proxy: bool
    soc: str
    remark: str
    qairt: str
    iterations: int = 0

    def purpose(self, component: str, sha256: str) -> dict[str, str]:
        """As the journal keeps it with a component's job.

        Args:
            component: of the bundle.
            sha256: of its context binary.
        """
        kept = {name: str(int(value) if isinstance(value, bool) else value) for name, value in asdict(self).items()}
        return {"command": _COMMAND, "component": component, "sha256": sha256, **kept}


def facts_of(
    bundle: OpenBundle,
    model: ModelConfig,
    device: CloudDevice,
    binaries: DeviceBinaries,
    qairt: str,
    iterations: int,
) -> ProfileFacts:
    """What is profiled.

    Args:
        bundle: that was built.
        model: its config.
        device: where.
        binaries: whose it has.
        qairt: release that the jobs ask for; empty for AI Hub's choice.
        iterations: calls that a job measures at most; 0 for AI Hub's own number.
    """
    return ProfileFacts(
        bundle=bundle.folder.name,
        model=model.name,
        width=bundle.info.width,
        height=bundle.info.height,
        steps=model.steps,
        passes=bundle.info.passes(model.guidance),
        device=device.name,
        os=device.os,
        is_proxy=device.is_proxy,
        soc=binaries.profile.soc,
        remark=binaries.remark,
        qairt=qairt,
        iterations=iterations,
    )


def facts_from(entry: JobEntry) -> tuple[ProfileFacts, str, str] | None:
    """What a job of the journal was submitted for, its component and the hash of its context binary.

    None for another command's job.
    """
    kept = entry.purpose
    if kept.get("command") != _COMMAND:
        return None
    try:
        values: dict[str, Any] = {
            name: kept[name] if kind is str else kind(int(kept[name]))
            for name, kind in get_type_hints(ProfileFacts).items()
        }
        return ProfileFacts(**values), kept["component"], kept["sha256"]
    except (KeyError, ValueError):  # another version's
        return None
