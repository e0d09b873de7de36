"""The entry point: the group of commands, and what becomes of a failure."""

from __future__ import annotations

import os
import sys
import traceback

import click

from qnn_sd import __version__
from qnn_sd.cli.bench import bench_command
from qnn_sd.cli.compile import compile_command
from qnn_sd.cli.cost import cost_command
from qnn_sd.cli.devices import devices_command, unstage_command
from qnn_sd.cli.doctor import doctor_command
from qnn_sd.cli.export import export_command
from qnn_sd.cli.quantize import quantize_command
from qnn_sd.cli.run import run_command
from qnn_sd.cli.runtime import runtime_group
from qnn_sd.cli.verify import verify_command
from qnn_sd.cli.virtual_phone import virtual_phone_command
from qnn_sd.console import Console
from qnn_sd.errors import INTERRUPTED, QnnSdError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qnn-sd")
def cli() -> None:
    """Stable Diffusion on a Snapdragon's NPU, proven right before it reaches the phone."""


cli.add_command(export_command)
cli.add_command(quantize_command)
cli.add_command(compile_command)
cli.add_command(cost_command)
cli.add_command(verify_command)
cli.add_command(run_command)
cli.add_command(bench_command)
cli.add_command(devices_command)
cli.add_command(unstage_command)
cli.add_command(virtual_phone_command)
cli.add_command(doctor_command)
cli.add_command(runtime_group)


def _keep_stdout(debug: bool) -> None:
    """Leaves stdout to us: native libraries print remarks of their own on descriptor 1.

    Those go to stderr with ``--debug`` and nowhere without; Python's stdout is unchanged.
    """
    sys.stdout.flush()
    ours = os.dup(1)
    theirs = os.dup(2) if debug else os.open(os.devnull, os.O_WRONLY)
    os.dup2(theirs, 1)
    os.close(theirs)
    sys.stdout = open(ours, "w", encoding=sys.stdout.encoding, errors="replace")  # noqa: SIM115, PTH123


def console_script() -> None:
    """``qnn-sd`` as a process of its own."""
    _keep_stdout("--debug" in sys.argv)
    code = main()
    sys.stdout.flush()
    sys.exit(code)


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit code (``docs/errors.md``).

    Args:
        arguments: as after ``qnn-sd``; None for those of the process.
    """
    typed = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in typed
    console = Console()
    try:
        result = cli.main(args=typed, prog_name="qnn-sd", standalone_mode=False)
        # With standalone_mode off, click returns the code of ctx.exit() and a command's own result.
        return result if isinstance(result, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        console.say("interrupted: no half-done result was kept.")
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except QnnSdError as error:
        if debug:
            traceback.print_exc()
        console.error(error)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output is gone (a pager closed, say): nothing to tell anyone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        console.error(
            QnnSdError(
                f"qnn-sd met an error that it doesn't know: {type(error).__name__}",
                why=str(error) or "No message.",
                hint="Run the command again with --debug and report what it prints.",
            )
        )
        return 1
