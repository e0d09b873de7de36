"""``qnn-sd virtual-phone``: an adb device on loopback."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import util
from pathlib import Path

import click

from qnn_sd import announced_phones, interruption
from qnn_sd.adb_program import adb_command
from qnn_sd.adb_server import server_address
from qnn_sd.announced_phones import AnnouncedPhone, Announcement
from qnn_sd.cli.detached_phone import LOG_VARIABLE, start_detached, stop
from qnn_sd.cli.docs import VIRTUAL_PHONE
from qnn_sd.cli.documents import VirtualPhoneDocument, VirtualPhoneStopDocument
from qnn_sd.cli.help import TARGET, HelpCommand, option
from qnn_sd.cli.options import output_options, refuse_typed, soc_option
from qnn_sd.config import DeviceProfile, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import DeviceError, SettingError, VirtualPhoneError
from qnn_sd.installation import install_extra
from qnn_sd.output_files import output_error
from qnn_sd.targets.adb.client import READY, Adb

# adb has a phone on loopback in a fraction of it.
_READY_SECONDS = 20.0


@click.command(
    "virtual-phone",
    cls=HelpCommand,
    examples=(
        (
            "Run a virtual Snapdragon 8 Gen 3 in the background, connected to adb",
            "qnn-sd virtual-phone --soc sm8650 --detach",
        ),
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
    metavar="NAME[=VALUE]",
    default_text="none",
    help="What it does wrong, such as free-space=BYTES, disappear=call:3, offline; the docs list all. Repeatable.",
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
@option(
    "--detach",
    group=TARGET,
    is_flag=True,
    help="Run it in the background with --connect; return when adb has it.",
)
@option(
    "--stop",
    group=TARGET,
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[SERIAL]",
    default_text="none",
    help="End the virtual phone that runs; with several, that of the serial.",
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
    detach: bool,
    stop: str | None,
    console: Console,
) -> None:
    """Run a virtual phone that adb connects to, until Ctrl-C.

    It listens on 127.0.0.1 alone. Its HTP is the emulator: it shows that everything works over adb, and nothing about a
    phone's speed.
    """
    if stop is not None:
        _stop(stop, console)
        return
    if not 0 <= port <= 65535:
        raise SettingError(f"--port {port} is not possible", hint="Choose 1 to 65535, or 0 for any free one.")
    request = _Request(load_profile(soc), port, root, serial, faults, properties, connect)
    if detach:
        _tell_detached(start_detached(request.options()), console)
    else:
        _run(request, console)


@dataclass(frozen=True)
class _Request:
    """What was typed."""

    profile: DeviceProfile
    port: int
    root: Path | None
    serial: str | None
    faults: tuple[str, ...]
    properties: tuple[str, ...]
    connect: bool

    def options(self) -> list[str]:
        """As typed, for another process in the same folder."""
        options = ["--soc", self.profile.soc, "--port", str(self.port)]
        options += [] if self.root is None else ["--root", str(self.root)]
        options += [] if self.serial is None else ["--serial", self.serial]
        options += [text for fault in self.faults for text in ("--fault", fault)]
        return options + [text for each in self.properties for text in ("--property", each)]


def _stop(address: str, console: Console) -> None:
    refuse_typed(
        ("stop", "as_json", "quiet", "debug"),
        "with --stop",
        why="--stop ends a phone that runs.",
        hint="Leave one of them out.",
    )
    ended = stop(address, console.say)
    for each in ended:
        console.result(f"ended {each}")
    console.document(VirtualPhoneStopDocument(devices=ended))


def _tell_detached(phone: VirtualPhoneDocument, console: Console) -> None:
    console.result(phone.device)
    console.document(phone)
    console.say(f"its log: {phone.log_file}")
    console.say(
        f"qnn-sd run PROMPT --device {phone.device}   (qnn-sd virtual-phone --stop {phone.device} ends the phone)"
    )


def _run(request: _Request, console: Console) -> None:
    """Runs the phone until a signal ends it."""
    profile = request.profile
    address = f"127.0.0.1:{request.port}" if request.port else None
    adb_port = server_address()[1] if request.connect else None
    about = AnnouncedPhone(os.getpid(), address, profile.soc, adb_port)
    with ExitStack() as stack:
        # First of all: a command that needs the phone may have been typed in the same moment.
        try:
            announcement = stack.enter_context(announced_phones.announced(about))
        except OSError as error:
            raise output_error(announced_phones.state_folder(), error) from error
        phone = _serve(request, announcement, about, stack, console)
        try:
            _tell(request, phone, console)
            while True:
                # No signal is missed for longer, should it come just before.
                time.sleep(1)
        except KeyboardInterrupt:
            interruption.acknowledge()
    console.say("the phone is gone.")


def _serve(
    request: _Request, announcement: Announcement, about: AnnouncedPhone, stack: ExitStack, console: Console
) -> VirtualPhoneDocument:
    """Starts the phone and connects adb, if it was asked for, until the stack is closed."""
    if util.find_spec("cryptography") is None:
        raise VirtualPhoneError("The virtual phone's packages are missing", hint=f"{install_extra('phone')}.")
    from qnn_sd.virtual_phone import DEFAULT_SERIAL, VirtualPhone, find_java, parse_faults  # noqa: PLC0415 (the extra)

    # Before the phone, which admits the user's key: a server that starts for the first time makes one.
    adb = Adb() if request.connect else None
    told = parse_faults(request.faults, request.properties)
    # Without it there is no worker: better told now than by the first run.
    find_java()
    serial, root = request.serial or DEFAULT_SERIAL, request.root
    if root is None:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="phone-")))
    phone = stack.enter_context(
        VirtualPhone(request.profile, root, port=request.port, serial=serial, faults=told, say=console.say)
    )
    announcement.say(replace(about, address=phone.address))
    if adb is not None:
        adb.connect(phone.address)
        stack.callback(adb.disconnect, phone.address)
        _await_ready(adb, phone.address)
    return VirtualPhoneDocument(
        device=phone.address,
        pid=os.getpid(),
        log_file=os.environ.get(LOG_VARIABLE),
        soc=request.profile.soc,
        serialno=serial,
        folder=str(root),
        files_folder=str(phone.files.root),
    )


def _tell(request: _Request, phone: VirtualPhoneDocument, console: Console) -> None:
    console.result(f"{request.profile.title} ({phone.soc}) at {phone.device}, files in {phone.files_folder}")
    console.document(phone)
    typed = f"qnn-sd run PROMPT --device {phone.device}" if request.connect else adb_command("connect", phone.device)
    console.say(f"{typed}   (Ctrl-C ends the phone)")


def _await_ready(adb: Adb, address: str) -> None:
    """Waits until adb has the phone, and the phone says that it has booted."""
    until = time.monotonic() + _READY_SECONDS
    while not any(each.serial == address and each.state == READY for each in adb.devices()):
        if time.monotonic() > until:
            raise DeviceError(
                f"adb doesn't get ready for {address}",
                why=f"After {_READY_SECONDS:.0f} seconds it still doesn't call it {READY!r}.",
                hint=f"Type {adb_command('kill-server')}, then start the phone again.",
            )
        time.sleep(0.05)
    adb.phone(address).ask("getprop sys.boot_completed")
