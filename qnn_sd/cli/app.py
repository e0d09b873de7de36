"""The entry point: the group of commands, and what becomes of a failure."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile

import click

from qnn_sd import __version__, interruption
from qnn_sd.cli.bench import bench_command
from qnn_sd.cli.compile import compile_command
from qnn_sd.cli.completion import COMPLETE_VARIABLE, completion_command, print_completion
from qnn_sd.cli.cost import cost_command
from qnn_sd.cli.devices import devices_command, unstage_command
from qnn_sd.cli.docs import README
from qnn_sd.cli.doctor import doctor_command
from qnn_sd.cli.documents import ErrorDetail, ErrorDocument
from qnn_sd.cli.export import export_command
from qnn_sd.cli.help import OUTPUT, GroupedOption, HelpGroup
from qnn_sd.cli.hub import hub_group
from qnn_sd.cli.inspect import inspect_command
from qnn_sd.cli.pages import docs_command
from qnn_sd.cli.profile import profile_command
from qnn_sd.cli.quantize import quantize_command
from qnn_sd.cli.report import report_command
from qnn_sd.cli.run import run_command
from qnn_sd.cli.runtime import runtime_group
from qnn_sd.cli.stopping import stopped
from qnn_sd.cli.verify import verify_command
from qnn_sd.cli.virtual_phone import virtual_phone_command
from qnn_sd.console import Console
from qnn_sd.errors import (
    DeviceError,
    OutputError,
    QnnSdError,
    SettingError,
    StagingError,
    UnexpectedError,
    UsageError,
)


@click.group(
    cls=HelpGroup,
    sections={
        "Build": (
            *(export_command, quantize_command, compile_command),
            *(verify_command, inspect_command, report_command, cost_command),
        ),
        "Generate": (run_command, bench_command),
        "Phone": (devices_command, unstage_command, runtime_group, virtual_phone_command),
        "Cloud": (profile_command, hub_group),
        "Machine": (doctor_command, docs_command, completion_command),
    },
    examples=(
        ("Check this machine", "qnn-sd doctor"),
        ("Generate an image on the HTP emulator", 'qnn-sd run "a red circle on a blue background" --soc sm8650'),
    ),
    docs_page=README,
)
@click.version_option(
    __version__, "--version", "-V", prog_name="qnn-sd", cls=GroupedOption, group=OUTPUT, help="Show the version."
)
def cli() -> None:
    """Run Stable Diffusion on the NPU of a Snapdragon phone.

    The commands build context binaries from a checkpoint, verify them on the HTP emulator before a phone gets them,
    and generate images with them. What a stage builds stays in a cache and isn't built twice.
    """


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit code (``docs/errors.md``).

    Where a shell completes, it answers the shell instead (``completion.py``).
    With ``--json`` a failure is a document too, unless the command has printed its own, which has it as ``error``.

    Args:
        arguments: as after ``qnn-sd``; None for those of the process.
    """
    if arguments is None and COMPLETE_VARIABLE in os.environ:
        return print_completion(cli)
    typed = sys.argv[1:] if arguments is None else arguments
    options = list(takewhile(lambda each: each != "--", typed))
    # It must hold before any option is understood; a command that was understood sets it anew.
    console = Console(as_json="--json" in options)
    try:
        try:
            interruption.begin()
            return _invoke(typed, console)
        except (Exception, KeyboardInterrupt) as raised:
            error = _tell(raised, console, debug="--debug" in options)
            if console.as_json and not console.has_document:
                console.document(ErrorDocument(error=ErrorDetail.of(error)))
            return error.exit_code
    except OutputError as error:
        console.error(error)
        return error.exit_code


def _invoke(typed: Sequence[str], console: Console) -> int:
    # Not cli.main(): it takes a broken pipe inside a command, such as a child's, for that of stdout, and ends silently.
    try:
        with cli.make_context("qnn-sd", list(typed), obj=console) as context:
            result = cli.invoke(context)
    except click.exceptions.Exit as end:
        result = end.exit_code
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _tell(raised: BaseException, console: Console, debug: bool) -> QnnSdError:
    """Says on stderr what failed, and returns it as an error with an exit code."""
    match raised:
        case click.exceptions.Abort() | KeyboardInterrupt():
            return stopped(console)
        case QnnSdError():
            error = raised
            if isinstance(error, DeviceError | StagingError):
                error.kept = tuple(console.kept.lines())
        case click.ClickException():
            error = UsageError(raised.format_message().removesuffix("."), hint="qnn-sd --help lists the commands.")
        case OSError(errno=errno.ENAMETOOLONG):
            error = SettingError(
                "A file's name is too long for this system",
                why=str(raised.filename)[:80],
                hint="Give a shorter name or path.",
            )
        case _:
            error = UnexpectedError(
                f"qnn-sd met an error that it doesn't know: {type(raised).__name__}",
                why=str(raised) or "No message.",
                hint="Report the traceback above."
                if debug
                else "Run the command again with --debug and report what it prints.",
            )
    if debug:
        with suppress(OSError):
            traceback.print_exception(raised)
    console.error(error)
    return error
