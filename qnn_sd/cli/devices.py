"""``qnn-sd devices`` and ``qnn-sd unstage``: which phones there are, and what was left on one."""

from __future__ import annotations

import click

from qnn_sd import resources
from qnn_sd.cli.docs import PHONE
from qnn_sd.cli.documents import DevicesDocument, UnstageDocument
from qnn_sd.cli.documents.phones import ListedDevice, PhoneDescription
from qnn_sd.cli.help import OUTPUT, TARGET, HelpCommand, option
from qnn_sd.cli.known_socs import show_known_socs
from qnn_sd.cli.options import device_option, output_options
from qnn_sd.config import stand_in
from qnn_sd.console import Console
from qnn_sd.errors import AdbServerError, DeviceError
from qnn_sd.targets.adb.client import READY, Adb, AdbDevice, choose_phone, phone_info
from qnn_sd.targets.adb.session.warm_worker import stop_warm_worker
from qnn_sd.targets.adb.staging import unstage


@click.command(
    "devices",
    cls=HelpCommand,
    examples=(
        ("List the phones, for a script", "qnn-sd devices --json"),
        ("List the SoCs that there are profiles for; no phone is needed", "qnn-sd devices --known"),
    ),
    docs_page=PHONE,
)
@option(
    "--known",
    group=OUTPUT,
    is_flag=True,
    help="List the SoCs that qnn-sd knows instead: HTP, limits, phone libraries, and what is in the cache for each.",
)
@output_options
def devices_command(known: bool, console: Console) -> None:
    """List the phones that adb knows, with SoC, free space, temperature and battery; or the known SoCs."""
    if known:
        show_known_socs(console, resources.cache())
        return
    adb = Adb()
    devices = [_described(adb, listed) for listed in adb.devices()]
    for problem in filter(None, (each.problem for each in devices)):
        console.warn(problem)
    if devices:
        columns = ["device", "state", "product", "SoC", "--soc", "free space", "battery", "charge"]
        console.table(columns, [_row(each) for each in devices])
    else:
        console.result("adb lists no phone. Plug one in and allow USB debugging, or try qnn-sd virtual-phone.")
    console.document(DevicesDocument(devices=devices))


def _described(adb: Adb, listed: AdbDevice) -> ListedDevice:
    if listed.state != READY:
        return ListedDevice(device=listed.serial, state=listed.state)
    try:
        info = phone_info(adb.phone(listed.serial))
    except AdbServerError:
        raise
    except DeviceError as error:
        # The others are listed all the same.
        return ListedDevice(device=listed.serial, state=listed.state, problem=error.what)
    other = stand_in(info.soc) if info.profile is None else None
    return ListedDevice(
        state=listed.state,
        **PhoneDescription.of(listed.serial, info).model_dump(),
        soc=info.profile,
        stand_in=None if other is None else other.profile.soc,
        free_bytes=info.free_bytes,
        battery_percent=info.battery_percent,
        battery_celsius=info.celsius,
    )


def _row(each: ListedDevice) -> list[object]:
    if each.free_bytes is None:
        return [each.device, "no answer" if each.problem else each.state, *[""] * 6]
    return [
        each.device,
        each.state,
        each.product,
        each.reported_soc or "unknown",
        each.soc or (f"{each.stand_in} (another's)" if each.stand_in else "none"),
        f"{each.free_bytes / 1e9:.1f} GB",
        "" if each.battery_celsius is None else f"{each.battery_celsius:.0f} °C",
        "" if each.battery_percent is None else f"{each.battery_percent} %",
    ]


@click.command(
    "unstage",
    cls=HelpCommand,
    examples=(
        ("Remove everything from the phone that is connected", "qnn-sd unstage"),
        ("Remove what wasn't used for a month", "qnn-sd unstage --device R5CT1234ABC --older-than 30"),
    ),
    docs_page=PHONE,
)
@device_option
@option(
    "--older-than",
    group=TARGET,
    type=click.IntRange(min=0),
    default=0,
    metavar="DAYS",
    help="Remove only what wasn't used for so many days; 0 removes everything.",
)
@output_options
def unstage_command(device: str | None, older_than: int, console: Console) -> None:
    """Remove from a phone what qnn-sd staged there, and end a worker that was left warm."""
    phone = choose_phone(Adb(), device, console.say)
    # It may hold what is about to be removed; on its next call it would fail.
    ended = stop_warm_worker(phone)
    gone = unstage(phone, older_than)
    for folder in gone:
        console.result(f"removed {folder}")
    if ended:
        console.result("ended the worker that was left warm")
    if not gone and not ended:
        console.result(f"There is nothing to remove on {phone.serial}.")
    console.document(UnstageDocument(device=phone.serial, removed_folders=gone, ended_worker=ended))
