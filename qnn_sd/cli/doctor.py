"""``qnn-sd doctor``: what works here and on a phone, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from qnn_sd import __version__, resources
from qnn_sd.cli.build_options import BuildRequest, model_options
from qnn_sd.cli.options import device_option, output_options, refuse_bad_output, refuse_typed
from qnn_sd.cli.phone_report import diagnose_phone, make_document, private_names, write_report
from qnn_sd.console import Console
from qnn_sd.errors import UnhealthyError
from qnn_sd.health_checks import CheckResult, run_health_checks
from qnn_sd.targets.adb.diagnostics import Step

# Those that mean something without a phone.
_OF_THE_MACHINE = ("phone", "device", "cache", "as_json", "quiet", "debug")


@click.command("doctor")
@click.option("--phone", is_flag=True, help="Try every step on the phone too, from adb to an image.")
@device_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Markdown file for a report of it to send, with the phone's image beside it. Names neither phone nor user.",
)
@click.option("--soc", help="SoC whose context binaries the phone gets [the phone's].")
@model_options
@output_options
def doctor_command(
    phone: bool,
    device: str | None,
    output: Path | None,
    soc: str | None,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Check this machine: Python, packages, the HTP emulator, disk, adb, AI Hub; with --phone a phone too."""
    phone = phone or device is not None
    if not phone:
        refuse_typed(
            _OF_THE_MACHINE,
            "without --phone",
            why="Without it the doctor checks this machine alone.",
            hint="Add --phone, or --device SERIAL if there are several.",
        )
    if output is not None:
        refuse_bad_output(output, ".md", "The report is Markdown.", beside=".png")
    machine = list(run_health_checks(build_request.cache or resources.cache()))
    console.table(
        ["", "check", "found", "what to do"],
        [[finding.status, finding.check, finding.found, finding.advice] for finding in machine],
    )
    told: dict[str, object] = {
        "version": __version__,
        "healthy": not _failed(machine),
        "checks": [asdict(finding) for finding in machine],
    }
    steps: list[Step] = []
    if phone:
        privacy = private_names(build_request, output)
        findings = diagnose_phone(build_request, device, soc, console, privacy)
        steps = findings.steps
        console.table(
            ["", "step", "found", "seconds", "what to do"],
            [[step.status, step.name, step.found, step.seconds, step.advice] for step in steps],
        )
        document = make_document(findings, machine, build_request, soc, privacy)
        told |= {"healthy": not _failed([*machine, *steps]), "phone": document}
        if output is not None:
            for path in write_report(output, document, findings):
                console.result(str(path))
    console.document(told)
    _raise_for([*machine, *steps])


def _failed(lines: Sequence[CheckResult | Step]) -> list[CheckResult | Step]:
    return [line for line in lines if line.status == "failed"]


def _raise_for(lines: Sequence[CheckResult | Step]) -> None:
    """Raises an UnhealthyError where a check or a step failed."""
    failed = _failed(lines)
    if failed:
        raise UnhealthyError(
            f"{len(failed)} of {len(lines)} checks failed",
            why="; ".join(f"{line.name}: {line.found}" for line in failed),
            hint=failed[0].advice,
        )
