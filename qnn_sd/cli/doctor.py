"""``qnn-sd doctor``: what works here and on a phone, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from qnn_sd import __version__, resources
from qnn_sd.cli.build_options import BuildRequest, model_options
from qnn_sd.cli.command_line import is_typed
from qnn_sd.cli.docs import DOCTOR
from qnn_sd.cli.documents import DoctorDocument, ErrorDetail, PhoneReport
from qnn_sd.cli.documents.doctor import Check
from qnn_sd.cli.forecast import free_disk
from qnn_sd.cli.help import CHECKS, OUTPUT, HelpCommand, option
from qnn_sd.cli.model_needs import model_needs
from qnn_sd.cli.options import device_option, output_options, refuse_bad_output, refuse_typed, soc_option
from qnn_sd.cli.phone_report import diagnose_phone, make_document, private_names, write_report
from qnn_sd.console import Console
from qnn_sd.errors import UnhealthyError
from qnn_sd.health_checks import CheckResult, run_health_checks
from qnn_sd.host_memory import available_memory
from qnn_sd.model_checks import check_disk, check_memory, check_time
from qnn_sd.targets.adb.diagnostics import Step

# Those that say which model the machine is to suffice for.
_OF_A_MODEL = (
    *("model", "size", "prediction"),
    *("checkpoint", "vae", "text_encoder", "lora", "embedding", "tokenizer"),
)
# Those that mean something without a phone.
_OF_THE_MACHINE = ("phone", "device", "cache", *_OF_A_MODEL, "as_json", "quiet", "debug")


@click.command(
    "doctor",
    cls=HelpCommand,
    examples=(
        ("Check this machine, and whether it suffices for a model", "qnn-sd doctor --model sd15"),
        ("Check the phone that is connected too, and write a report to send", "qnn-sd doctor --phone -o report.md"),
    ),
    docs_page=DOCTOR,
)
@option("--phone", group=CHECKS, is_flag=True, help="Try every step on the phone too, from adb to an image.")
@device_option
@option(
    "-o",
    "--output",
    group=OUTPUT,
    type=click.Path(path_type=Path),
    metavar="FILE.md",
    default_text="none",
    help="Report on the phone to send, with its image beside it. It names neither phone nor user.",
)
@soc_option("whose context binaries the phone gets", default_text="the phone's")
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
    """Check this machine, and with --phone every step on a phone.

    Of the machine: Python, packages, the HTP emulator, free space, adb and AI Hub; where a model, a checkpoint or a
    size is named, whether disk, memory and time suffice for it. Each line says what was found and what to do.
    """
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
    cache = build_request.cache or resources.cache()
    machine = list(run_health_checks(cache))
    if not phone and any(is_typed(click.get_current_context(), name) for name in _OF_A_MODEL):
        machine = _with_model(machine, build_request, cache, console)
    console.table(
        ["", "check", "found", "what to do"],
        [[finding.status, finding.check, finding.found, finding.advice] for finding in machine],
    )
    steps: list[Step] = []
    document: PhoneReport | None = None
    if phone:
        privacy = private_names(build_request, output)
        findings, model = diagnose_phone(build_request, device, soc, console, privacy)
        steps = findings.steps
        console.table(
            ["", "step", "found", "seconds", "what to do"],
            [[step.status, step.name, step.found, step.seconds, step.advice] for step in steps],
        )
        document = make_document(findings, machine, build_request.sources, model, soc, privacy)
        if output is not None:
            for path in write_report(output, document.content, findings):
                console.result(str(path))
    error = _error_of([*machine, *steps])
    console.document(
        DoctorDocument(
            version=__version__,
            healthy=error is None,
            checks=[Check.of(each) for each in machine],
            phone=document,
            error=None if error is None else ErrorDetail.of(error),
        )
    )
    if error is not None:
        raise error


def _with_model(
    machine: Sequence[CheckResult], request: BuildRequest, cache: Path, console: Console
) -> list[CheckResult]:
    """The checks of the machine, with those of what a model takes; one of the disk that failed stays as it is."""
    needs = model_needs(request, console)
    disk = check_disk(needs, free_disk(cache), cache)
    rows = [disk if (each.name, each.status) == ("disk", "ok") else each for each in machine]
    return [*rows, check_memory(needs, available_memory()), check_time(needs)]


def _error_of(lines: Sequence[CheckResult | Step]) -> UnhealthyError | None:
    """A failure where a check or a step failed."""
    failed = [line for line in lines if line.status == "failed"]
    if not failed:
        return None
    return UnhealthyError(
        f"{len(failed)} of {len(lines)} checks failed",
        why="; ".join(f"{line.name}: {line.found}" for line in failed),
        hint=failed[0].advice,
    )
