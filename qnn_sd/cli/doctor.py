"""``qnn-sd doctor``: what works here, and what to do about the rest."""

from __future__ import annotations

from dataclasses import asdict

import click

from qnn_sd import __version__, resources
from qnn_sd.cli.options import output_options
from qnn_sd.console import Console
from qnn_sd.errors import UnhealthyError
from qnn_sd.health import examine


@click.command("doctor")
@output_options
def doctor_command(console: Console) -> None:
    """Check this machine: Python, packages, the HTP emulator, disk, adb, AI Hub."""
    findings = list(examine(resources.cache()))
    console.table(
        ["", "check", "found", "what to do"],
        [[finding.status, finding.check, finding.found, finding.advice] for finding in findings],
    )
    failed = [finding for finding in findings if finding.status == "failed"]
    console.document(
        {"version": __version__, "healthy": not failed, "checks": [asdict(finding) for finding in findings]}
    )
    if failed:
        raise UnhealthyError(
            f"{len(failed)} of {len(findings)} checks failed",
            why="; ".join(f"{finding.check}: {finding.found}" for finding in failed),
            hint=failed[0].advice,
        )
