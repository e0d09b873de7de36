"""``qnn-sd run --target hub:DEVICE``: an image whose every call is a job at AI Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qnn_sd.ai_hub import HubService
from qnn_sd.binaries.found import find_binaries
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.hub_network import networks_of
from qnn_sd.cli.hub_runner import HubRunner
from qnn_sd.cli.options import HUB_DEADLINE_MINUTES
from qnn_sd.cli.upload_consent import Upload, require_consent
from qnn_sd.cli.verify_hub_targets import HubTarget, open_targets
from qnn_sd.console import Console
from qnn_sd.generate import Request
from qnn_sd.generate.guidance import ALL_STEPS, unet_calls
from qnn_sd.generate.schedulers import make_scheduler
from qnn_sd.image_metadata import TargetKind
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline


@dataclass(frozen=True)
class HubPlace:
    """A device at AI Hub that is to generate.

    Attributes:
        service: where it is.
        target: the device, and whose binaries run there.
    """

    service: HubService
    target: HubTarget

    @property
    def kind(self) -> TargetKind:
        """What an image says of where it was made: the stand-in is the emulator."""
        return "emulator" if self.service.is_stand_in else "hub"

    def announce(self, request: Request, pipeline: BuildPipeline, allowed: bool, console: Console) -> None:
        """Before any work: how many jobs, and whether the upload is wanted.

        Raises:
            UploadNotAllowedError: a user's checkpoint may not be uploaded.
        """
        upload = Upload(pipeline.identity, "context binaries", TEXT_TO_IMAGE_COMPONENTS, "the inputs of every call")
        require_consent(self.service, upload, allowed, console)
        # Both passes of a UNet's call are one job; each chunk of text is one.
        text = pipeline.image_work("emulator", request).calls["text_encoder"]
        scheduler = make_scheduler(request.scheduler, pipeline.checkpoint.scheduler, request.steps)
        jobs = text + request.count * (unet_calls(scheduler, 1, ALL_STEPS) + 1)
        if self.service.is_stand_in:
            console.say(f"{jobs} jobs at the stand-in, one after the other; no device is used")
            return
        console.warn(
            f"{jobs} jobs at AI Hub, one after the other: each waits for a device, often for minutes. The same command "
            "goes on where one was cut off"
        )

    def runner(self, bundle: OpenBundle) -> HubRunner:
        """Runs a bundle's components there.

        Raises:
            BinaryError: a component's binary can't be read, or holds several graphs.
        """
        networks = networks_of(find_binaries(bundle.folder), TEXT_TO_IMAGE_COMPONENTS)
        return HubRunner(self.service, self.target.device, networks, HUB_DEADLINE_MINUTES * 60, bundle.info.model)


def open_hub(device: str, soc: str | None, cache: Path, console: Console) -> HubPlace:
    """A device at AI Hub by its name.

    Args:
        device: as it was typed.
        soc: whose binaries are to run; None for the device's own.
        cache: folder of the artifacts.
        console: shows the progress.

    Raises:
        HubAccountError: there is no account, or its client can't be used.
        HubServiceError: the service can't be reached.
        HubDeviceError: there is no such device, no binaries load there, or its HTP isn't that of the binaries.
    """
    service = HubService.open(cache, console)
    [target, *_] = open_targets(service, [device], soc, console)
    return HubPlace(service, target)
