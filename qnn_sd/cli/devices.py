"""``qnn-sd devices`` and ``qnn-sd unstage``: which phones there are, and what was left on one."""

from __future__ import annotations

from dataclasses import asdict

import click

from qnn_sd.cli.options import device_option, output_options
from qnn_sd.console import Console
from qnn_sd.targets.adb.client import READY, Adb, choose_phone, phone_info
from qnn_sd.targets.adb.session.warm_worker import stop_warm_worker
from qnn_sd.targets.adb.staging import unstage


@click.command("devices")
@output_options
def devices_command(console: Console) -> None:
    """List the phones that adb knows: state, SoC, matching profile, room, temperature, battery."""
    adb = Adb()
    rows: list[list[object]] = []
    document = []
    for listed in adb.devices():
        if listed.state != READY:
            rows.append([listed.serial, listed.state, *[""] * 6])
            document.append({"serial": listed.serial, "state": listed.state})
            continue
        found = phone_info(adb.phone(listed.serial))
        rows.append(
            [
                listed.serial,
                listed.state,
                found.model,
                found.soc or "unknown",
                found.profile or "none",
                f"{found.free_bytes / 1e9:.1f} GB",
                "" if found.celsius is None else f"{found.celsius:.0f} °C",
                "" if found.battery_percent is None else f"{found.battery_percent} %",
            ]
        )
        document.append({"serial": listed.serial, "state": listed.state, **asdict(found)})
    if rows:
        console.table(["serial", "state", "model", "SoC", "profile", "free", "battery", "charge"], rows)
    else:
        console.result("adb lists no phone. Plug one in and allow USB debugging, or try qnn-sd virtual-phone.")
    console.document({"devices": document})


@click.command("unstage")
@device_option
@click.option(
    "--older-than",
    type=click.IntRange(min=0),
    default=0,
    metavar="DAYS",
    help="Leave what was used within so many days [remove everything].",
)
@output_options
def unstage_command(device: str | None, older_than: int, console: Console) -> None:
    """Remove from a phone what qnn-sd staged there."""
    phone = choose_phone(Adb(), device)
    # It may hold what is about to be removed; on its next call it would fail.
    ended = stop_warm_worker(phone)
    gone = unstage(phone, older_than)
    for folder in gone:
        console.result(f"removed {folder}")
    if ended:
        console.result("ended the worker that was left warm")
    if not gone and not ended:
        console.result(f"There is nothing to remove on {phone.serial}.")
    console.document({"serial": phone.serial, "removed": gone, "ended_worker": ended})
