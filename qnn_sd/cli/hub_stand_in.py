"""``qnn-sd hub stand-in``: AI Hub's interface on loopback."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qnn_sd import interruption
from qnn_sd.ai_hub.client_package import require_client
from qnn_sd.ai_hub.configuration import PATH_VARIABLE
from qnn_sd.cli.docs import HUB_STAND_IN
from qnn_sd.cli.documents import HubStandInDocument
from qnn_sd.cli.help import TARGET, HelpCommand, option
from qnn_sd.cli.options import output_options
from qnn_sd.console import Console
from qnn_sd.errors import SettingError

if TYPE_CHECKING:
    from qnn_sd.hub_stand_in import StandIn

# So that progress is seen on the way: an answer about a running job waits so long for its end.
_HOLD_SECONDS = 1.0
_MOST_DELAY_SECONDS = 3600.0


@click.command(
    "stand-in",
    cls=HelpCommand,
    examples=(
        ("Run it until Ctrl-C, in a folder that is kept", "qnn-sd hub stand-in --folder hub"),
        (
            "Run one that adds noise of 30 dB to the UNet's outputs",
            "qnn-sd hub stand-in --port 5780 --fault noise=unet:30",
        ),
    ),
    docs_page=HUB_STAND_IN,
)
@option(
    "--port",
    group=TARGET,
    type=int,
    metavar="PORT",
    default=0,
    default_text="the folder's last one, or any free one",
    help="Port on 127.0.0.1.",
)
@option(
    "--folder",
    group=TARGET,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default_text="a temporary one",
    help="Folder of its models and jobs, which is kept; the next one there goes on with them.",
)
@option(
    "--fault",
    "faults",
    group=TARGET,
    multiple=True,
    metavar="NAME[=VALUE]",
    default_text="none",
    help="What it does wrong, such as noise=unet:30, fail=unet:12001, quota=2; the docs list all. Repeatable.",
)
@option(
    "--delay",
    group=TARGET,
    type=float,
    metavar="SECONDS",
    default=0.0,
    default_text="0",
    help="How long each job waits before it runs.",
)
@output_options
def stand_in_command(port: int, folder: Path | None, faults: tuple[str, ...], delay: float, console: Console) -> None:
    """Run a stand-in for Qualcomm AI Hub, until Ctrl-C.

    AI Hub's own client and qnn-sd talk to it as to the service, without an account. Its jobs compile and run on this
    machine, on the HTP emulator; the times in its profiles are made by a rule. It listens on 127.0.0.1 alone.
    """
    if not 0 <= port <= 65535:
        raise SettingError(f"--port {port} is not possible", hint="Choose 1 to 65535, or 0 for any free one.")
    if not 0 <= delay <= _MOST_DELAY_SECONDS:
        raise SettingError(f"--delay {delay:g} is not possible", hint=f"Choose 0 to {_MOST_DELAY_SECONDS:g} seconds.")
    require_client()
    from qnn_sd.hub_stand_in import StandIn, parse_faults  # noqa: PLC0415 (the extra)

    told = parse_faults(faults)
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-")))
        hub = StandIn(
            folder.absolute(), told, port=port, hold_seconds=_HOLD_SECONDS, delay_seconds=delay, say=console.say
        )
        stack.enter_context(hub)
        try:
            _tell(hub, folder, faults, console)
            while True:
                # No signal is missed for longer, should it come just before.
                time.sleep(1)
        except KeyboardInterrupt:
            interruption.acknowledge()
    console.say("the stand-in is gone.")


def _tell(hub: StandIn, folder: Path, faults: tuple[str, ...], console: Console) -> None:
    command = f'{PATH_VARIABLE}={shlex.quote(str(hub.client_ini))} qnn-sd profile --hub "Samsung Galaxy S24"'
    console.result(f"stand-in for AI Hub at {hub.url}, no device behind it: {folder}")
    console.result(command)
    console.document(
        HubStandInDocument(
            url=hub.url,
            client_ini=str(hub.client_ini),
            folder=str(folder.absolute()),
            pid=os.getpid(),
            faults=list(faults),
        )
    )
    console.say("Ctrl-C ends it.")
