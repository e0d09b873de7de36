"""What ``qnn-sd run`` tells of a generation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from qnn_sd.bundle_manifest import Bundle
from qnn_sd.console import Console
from qnn_sd.generate import Generation, Request
from qnn_sd.generate.text_to_image import CallStats
from qnn_sd.generate.tokenizer import Tokens
from qnn_sd.runner import Runner
from qnn_sd.targets.adb.session.deployment import Deployment
from qnn_sd.verification import setting_warning


def remark_on_prompts(console: Console, request: Request, result: Generation) -> None:
    """Warns of an empty prompt, and of what of a long one was cut."""
    if not request.prompt.strip():
        console.warn("the prompt is empty: the image shows whatever the model likes.")
    for name, tokens in (("prompt", result.prompt), ("negative prompt", result.negative)):
        if tokens.cut:
            console.warn(f"the {name} is too long: {tokens.used} tokens were used, this was cut: {_shortened(tokens)}")


def remark_on_verification(console: Console, request: Request, bundle: Bundle) -> None:
    """Warns of a bundle that was never verified, and of settings at which it isn't known to be near the float model."""
    if bundle.verification is None:
        console.warn(f"{bundle.verified}: the image says so too.")
    unet = (bundle.verification or {}).get("unet")
    if unet is not None:
        guided = request.guidance > 1 and bool(request.negative.strip())
        if warning := setting_warning(unet.settings, request.guidance, guided):
            console.warn(warning)


def _shortened(tokens: Tokens, most: int = 300) -> str:
    cut = tokens.cut
    return cut if len(cut) <= most else f"{cut[:most]}… ({len(cut)} characters)"


def report(
    console: Console,
    runner: Runner,
    result: Generation,
    paths: list[Path],
    soc: str | None,
    deployment: Deployment | None,
) -> None:
    """Prints the table, component by component, or the JSON document.

    Args:
        console: where to.
        runner: the target that was asked for.
        result: what it made.
        paths: of the images.
        soc: whose binaries ran, or None.
        deployment: on a phone: what it measured itself.
    """
    elsewhere = {event.component: event for event in runner.fallbacks}

    def place(component: str) -> str:
        return elsewhere[component].target if component in elsewhere else runner.target

    components: dict[str, dict[str, object]] = {
        name: {"target": place(name), "calls": usage.calls, "seconds": round(usage.seconds, 4)}
        for name, usage in result.usage.items()
    }
    on_phone: dict[str, object] = {}
    if deployment is None:
        columns = ["component", "target", "calls", "ms per call"]
        console.table(columns, [[name, place(name), *_calls(usage)] for name, usage in result.usage.items()])
    else:
        _show_phone(console, runner.target, result, deployment)
        for name, told in components.items():
            told["unit"] = deployment.compute[name].place.name
        on_phone = {"phone": _phone_facts(deployment)}
    console.document(
        {
            "images": [{"path": str(path), "seed": seed} for path, seed in zip(paths, result.seeds, strict=True)],
            "target": runner.target,
            "soc": soc,
            "components": components,
            "fallbacks": [
                {"component": event.component, "target": event.target, "reason": event.reason}
                for event in runner.fallbacks
            ],
            **on_phone,
        }
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


def _phone_facts(deployment: Deployment) -> dict[str, object]:
    status = deployment.status()
    return {
        "was_warm": deployment.was_warm,
        "staged_bytes": deployment.staged.sent_bytes,
        "kept_bytes": deployment.staged.kept_bytes,
        "peak_memory_bytes": status.peak_bytes,
        "thermal_zones": {zone.name: zone.degrees for zone in status.zones},
        "battery": None if status.battery is None else asdict(status.battery),
        "compute": {
            name: {"loads": each.loads, "load_seconds": each.load_seconds, "run_seconds": each.run_seconds}
            for name, each in deployment.compute.items()
        },
    }
