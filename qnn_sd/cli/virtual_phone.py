"""``qnn-sd virtual-phone``: an adb device on loopback."""

from __future__ import annotations

import signal
import tempfile
from contextlib import ExitStack, suppress
from importlib import util
from pathlib import Path
from types import FrameType

import click

from qnn_sd.cli.docs import VIRTUAL_PHONE
from qnn_sd.cli.documents import VirtualPhoneDocument
from qnn_sd.cli.help import TARGET, HelpCommand, option
from qnn_sd.cli.options import output_options, soc_option
from qnn_sd.config import load_profile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError, VirtualPhoneError
from qnn_sd.installation import install_extra
from qnn_sd.targets.adb.client import Adb


@click.command(
    "virtual-phone",
    cls=HelpCommand,
    examples=(
        ("Run a virtual Snapdragon 8 Gen 3 that adb is connected to", "qnn-sd virtual-phone --soc sm8650 --connect"),
        (
            "Run one with 100 MB of free space, at a port of your choice",
            "qnn-sd virtual-phone --port 5755 --fault free-space=100000000",
        ),
    ),
    docs_page=VIRTUAL_PHONE,
)
@soc_option("that the phone has")
@option(
    "--port", group=TARGET, type=int, metavar="PORT", default=0, default_text="any free one", help="Port on 127.0.0.1."
)
@option(
    "--root",
    group=TARGET,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default_text="a temporary one",
    help="Folder of the phone's files, which is kept.",
)
@option(
    "--serial",
    group=TARGET,
    metavar="NAME",
    default_text="the same for all",
    help="The phone's ro.serialno; adb names the phone by its address.",
)
@option(
    "--fault",
    "faults",
    group=TARGET,
    multiple=True,
    metavar="NAME[=BYTES]",
    default_text="none",
    help="What it does wrong: free-space, disconnect, crash or kill-worker =BYTES, unauthorized, offline. Repeatable.",
)
@option(
    "--property",
    "properties",
    group=TARGET,
    multiple=True,
    metavar="NAME=VALUE",
    default_text="the SoC's",
    help="A system property. Repeatable.",
)
@option(
    "--connect",
    group=TARGET,
    is_flag=True,
    help="Start adb's server if none runs, and connect it to the phone.",
)
@output_options
def virtual_phone_command(
    soc: str,
    port: int,
    root: Path | None,
    serial: str | None,
    faults: tuple[str, ...],
    properties: tuple[str, ...],
    connect: bool,
    console: Console,
) -> None:
    """Run a virtual phone that adb connects to, until Ctrl-C.

    It listens on 127.0.0.1 alone. Its HTP is the emulator: it shows that everything works over adb, and nothing about a
    phone's speed.
    """
    profile = load_profile(soc)
    if not 0 <= port <= 65535:
        raise SettingError(f"--port {port} is not possible", hint="Choose 1 to 65535, or 0 for any free one.")
    if util.find_spec("cryptography") is None:
        raise VirtualPhoneError("The virtual phone's packages are missing", hint=f"{install_extra('phone')}.")
    from qnn_sd.virtual_phone import DEFAULT_SERIAL, VirtualPhone, parse_faults  # noqa: PLC0415 (needs the extra)

    # Before the phone, which admits the user's key: a server that starts for the first time makes one.
    adb = Adb() if connect else None
    told = parse_faults(faults, properties)
    serial = serial or DEFAULT_SERIAL
    with ExitStack() as stack:
        if root is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qnn-sd-phone-")))
        # Told to end, it ends as by Ctrl-C, with nothing left behind.
        signal.signal(signal.SIGTERM, _interrupt)
        phone = stack.enter_context(VirtualPhone(profile, root, port=port, serial=serial, faults=told, say=console.say))
        console.result(f"{profile.title} ({profile.soc}) at {phone.address}, files in {phone.files.root}")
        console.document(
            VirtualPhoneDocument(
                device=phone.address,
                soc=profile.soc,
                serialno=serial,
                folder=str(root),
                files_folder=str(phone.files.root),
            )
        )
        if adb is None:
            console.say(f"adb connect {phone.address}   (Ctrl-C ends the phone)")
        else:
            adb.connect(phone.address)
            stack.callback(adb.disconnect, phone.address)
            console.say(f"qnn-sd run PROMPT --device {phone.address}   (Ctrl-C ends the phone)")
        with suppress(KeyboardInterrupt):
            while True:
                signal.pause()
    console.say("the phone is gone.")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
