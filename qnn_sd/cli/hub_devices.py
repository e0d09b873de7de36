"""``qnn-sd hub devices``: what an account can measure on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from qnn_sd import resources
from qnn_sd.ai_hub import CloudDevice, HubService, binaries_for
from qnn_sd.cli.docs import AI_HUB
from qnn_sd.cli.documents import HubDevicesDocument
from qnn_sd.cli.documents.hub import HubDeviceEntry
from qnn_sd.cli.help import HelpCommand
from qnn_sd.cli.options import cache_option, output_options
from qnn_sd.cli.profile_document import STAND_IN_NOTE
from qnn_sd.console import Console
from qnn_sd.errors import HubDeviceError


@click.command(
    "devices",
    cls=HelpCommand,
    examples=(
        ("List the devices of the account", "qnn-sd hub devices"),
        ("List them for a script", "qnn-sd hub devices --json"),
    ),
    docs_page=AI_HUB,
)
@cache_option
@output_options
def hub_devices_command(cache: Path | None, console: Console) -> None:
    """List the account's devices at AI Hub, with the SoC whose binaries each gets."""
    service = HubService.open(cache or resources.cache(), console)
    entries = sorted((_entry(each) for each in service.devices()), key=lambda each: (each.name, each.os))
    document = HubDevicesDocument(stand_in=service.is_stand_in, qairt=service.qairt_versions(), devices=entries)
    if service.is_stand_in:
        console.result(STAND_IN_NOTE)
    console.table(["device", "systems", "HTP", "binaries", "chip at AI Hub"], _rows(entries))
    console.result(f"QAIRT: {', '.join(document.qairt) or 'AI Hub lists none'}")
    console.document(document)


def _entry(device: CloudDevice) -> HubDeviceEntry:
    soc, remark = None, ""
    try:
        binaries = binaries_for(device)
        soc, remark = binaries.profile.soc, binaries.remark
    except HubDeviceError as error:
        remark = f"{error.what}. {error.why}"
    return HubDeviceEntry(
        name=device.name,
        os=device.os,
        chipsets=list(device.chipsets),
        htp_arch=device.hexagon,
        proxy=device.is_proxy,
        soc=soc,
        own=soc is not None and not remark,
        remark=remark,
    )


def _rows(entries: Sequence[HubDeviceEntry]) -> list[list[object]]:
    """A row for each name, with all its systems."""
    systems: dict[str, list[str]] = {}
    for each in entries:
        systems.setdefault(each.name, []).append(each.os)
    last = {each.name: each for each in entries}
    return [[name, ", ".join(systems[name]), *_facts(each)] for name, each in last.items()]


def _facts(each: HubDeviceEntry) -> list[object]:
    htp = "-" if each.htp_arch is None else f"v{each.htp_arch}"
    binaries = "none" if each.soc is None else each.soc if each.own else f"{each.soc} (another SoC's)"
    return [htp, binaries, ", ".join(each.chipsets)]
