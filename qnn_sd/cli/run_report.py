"""What ``qnn-sd run`` tells of a generation."""

from __future__ import annotations

from pathlib import Path

from qnn_sd.bundle_manifest import Bundle
from qnn_sd.cli.checkpoint_scheduler import quantized_warning
from qnn_sd.cli.documents import RunDocument
from qnn_sd.cli.documents.phones import BatteryState
from qnn_sd.cli.documents.run import ComponentFallback, ComponentRun, PhoneCompute, PhoneRun, SavedImage
from qnn_sd.console import Console
from qnn_sd.generate import Generation, Request
from qnn_sd.generate.text_to_image import CallStats
from qnn_sd.image_metadata import ImageDocument
from qnn_sd.runner import Runner
from qnn_sd.targets.adb.session.deployment import Deployment
from qnn_sd.verification import setting_warning


def remark_on_verification(console: Console, request: Request, bundle: Bundle) -> None:
    """Warns of a bundle that was never verified, and of settings at which it isn't known to be near the float model."""
    if bundle.verification is None:
        console.warn(f"{bundle.verified}: the image says so too.")
    unet = (bundle.verification or {}).get("unet")
    if unet is not None:
        guided = request.guidance > 1 and bool(request.negative.strip())
        if warning := setting_warning(unet.settings, request.guidance, guided):
            console.warn(warning)
    if warning := quantized_warning(request, bundle):
        console.warn(warning)


def report(
    console: Console,
    runner: Runner,
    result: Generation,
    paths: list[Path],
    made: ImageDocument,
    device: str | None,
    deployment: Deployment | None,
) -> None:
    """Prints the table, component by component, or the JSON document.

    Args:
        console: where to.
        runner: the target that was asked for.
        result: what it made.
        paths: of the images.
        made: what made the first of them.
        device: the phone's serial number, or None.
        deployment: on a phone: what it measured itself.
    """
    elsewhere = {event.component: event for event in runner.fallbacks}

    def place(component: str) -> str:
        return elsewhere[component].target if component in elsewhere else runner.target

    if deployment is None:
        columns = ["component", "target", "calls", "ms per call"]
        console.table(columns, [[name, place(name), *_calls(usage)] for name, usage in result.usage.items()])
    else:
        _show_phone(console, runner.target, result, deployment)
    console.document(
        RunDocument(
            model=made.model,
            size=made.size,
            images=[
                SavedImage(file=str(path), seed=seed, metadata=made.model_copy(update={"seed": seed}))
                for path, seed in zip(paths, result.seeds, strict=True)
            ],
            target=runner.target,
            soc=None if made.soc is None else made.soc.name,
            components={
                name: ComponentRun(
                    target=place(name),
                    unit=None if deployment is None else deployment.compute[name].place.name,
                    calls=usage.calls,
                    seconds=round(usage.seconds, 4),
                )
                for name, usage in result.usage.items()
            },
            fallbacks=[
                ComponentFallback(component=event.component, target=event.target, reason=event.reason)
                for event in runner.fallbacks
            ],
            phone=None if deployment is None or device is None else _on_phone(device, deployment),
        )
    )


def _calls(usage: CallStats) -> list[object]:
    """How many, and ms of one as the host sees it."""
    return [usage.calls, 1000 * usage.seconds / usage.calls]


def _show_phone(console: Console, phone: str, result: Generation, deployment: Deployment) -> None:
    console.result(f"on {phone}")
    rows: list[list[object]] = []
    for name, usage in result.usage.items():
        measured = deployment.compute[name]
        computing = 1000 * sum(measured.run_seconds) / len(measured.run_seconds)
        rows.append([name, measured.place.name, *_calls(usage), computing, measured.load_seconds])
    console.table(["component", "unit", "calls", "ms per call", "of it computing", "seconds to load"], rows)
    if deployment.was_warm:
        console.result("an earlier run left the worker warm")
    staged = deployment.staged
    console.result(
        f"staged {staged.sent_bytes / 1e6:,.1f} MB, {staged.kept_bytes / 1e6:,.1f} MB were there; "
        f"the worker's peak memory: {deployment.status().peak_bytes / 1e6:,.0f} MB"
    )


def _on_phone(device: str, deployment: Deployment) -> PhoneRun:
    status = deployment.status()
    return PhoneRun(
        device=device,
        was_warm=deployment.was_warm,
        staged_bytes=deployment.staged.sent_bytes,
        kept_bytes=deployment.staged.kept_bytes,
        peak_memory_bytes=status.peak_bytes,
        thermal_zones={zone.name: zone.degrees for zone in status.zones},
        battery=BatteryState.of(status.battery),
        compute={
            name: PhoneCompute(loads=each.loads, load_seconds=each.load_seconds, run_seconds=each.run_seconds)
            for name, each in deployment.compute.items()
        },
    )
