"""``qnn-sd verify``: every gate from the float model to the context binaries, and a report to send."""

from __future__ import annotations

from pathlib import Path

import click

from qnn_sd.build import Road
from qnn_sd.cli.building import Building, quantize_options
from qnn_sd.cli.options import DEFAULT_SOC, output_options, refuse_bad_output
from qnn_sd.cli.phone_report import private_names
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.verification_report import Comparison, compare_pictures, write_verification_report
from qnn_sd.config import COMPONENTS, DeviceProfile, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import VerificationError
from qnn_sd.export.checkpoint import Sources
from qnn_sd.verification import FIGURES, ComponentVerification


@click.command("verify")
@click.option("--soc", default=DEFAULT_SOC, show_default=True, help="SoC whose binaries are verified.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Markdown file for a report to send, with pictures beside it. It names no user, machine, path or checkpoint.",
)
@click.option("--prompt", help="Of the report's pictures [one that nothing was fitted to].")
@quantize_options
@output_options
def verify_command(soc: str, report: Path | None, prompt: str | None, building: Building, console: Console) -> None:
    """Hold a checkpoint's build against the float model: QDQ graphs on the CPU, binaries on the HTP emulator."""
    profile = load_profile(soc)
    if report is not None:
        refuse_bad_output(report, ".md", "The report is Markdown.", beside=".png")
    road = building.road(console)
    if building.dry_run:
        road.make_bundle_for(profile)
        show_plan(console, road)
        return
    verified: dict[str, ComponentVerification] = {}
    refused: VerificationError | None = None
    try:
        verified = road.bundle_for(profile).info.verification or {}
    except VerificationError as error:
        if report is None:
            raise
        # Whoever gets the report learns most from a refusal.
        refused = error
        verified = road.judged
    _show(console, verified)
    comparison = None
    if report is not None:
        if refused is None:
            comparison = compare_pictures(road, profile, prompt or road.verification_prompt(), console)
        privacy = private_names(building, report)
        for path in write_verification_report(
            report, road, profile, verified, comparison, refused, privacy, building.sources != Sources()
        ):
            console.result(str(path))
    console.document(_document(road, profile, verified, comparison, report, refused))
    if refused is not None:
        raise refused


def _show(console: Console, verified: dict[str, ComponentVerification]) -> None:
    rows: list[list[object]] = []
    for name in COMPONENTS:
        if name in verified:
            binary, floats = verified[name].binary_against_qdq, verified[name].qdq_against_float
            rows.append([name, "-" if binary is None else binary.text, floats.text, floats.worst_input])
    if not rows:
        return
    console.table(["component", "binary/QDQ, dB", "QDQ/float, dB", "worst input of QDQ/float"], rows)
    console.result(FIGURES)
    settings = verified["unet"].settings if "unet" in verified else ()
    console.table(["guidance", "negative prompt", "UNet: QDQ/float, dB"], [each.row for each in settings])


def _document(
    road: Road,
    profile: DeviceProfile,
    verified: dict[str, ComponentVerification],
    comparison: Comparison | None,
    report: Path | None,
    refused: VerificationError | None,
) -> dict[str, object]:
    return {
        "refused": None if refused is None else refused.document,
        "model": road.model.name,
        "soc": profile.soc,
        "components": {name: each.model_dump(mode="json") for name, each in verified.items()},
        "pictures": None if comparison is None else comparison.facts,
        "report": None if report is None else str(report),
    }
