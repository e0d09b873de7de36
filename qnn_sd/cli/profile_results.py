"""Measurements of cloud devices that are kept: in the cache, by bundle and device; never inside an artifact."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from qnn_sd.ai_hub.journal import FOLDER
from qnn_sd.cli.documents import HubProfileDocument
from qnn_sd.cli.documents.report import ReportedDevice
from qnn_sd.cli.profile_document import merged
from qnn_sd.console import json_text
from qnn_sd.output_files import output_error, written_aside

_MEASURED = "measured"


def keep(document: HubProfileDocument, cache: Path) -> None:
    """Keeps what each device measured; an earlier measurement of the same component and build there is replaced.

    Args:
        document: of one device or several.
        cache: folder of the artifacts.

    Raises:
        OutputError: it can't be written.
    """
    for device in document.devices:
        if not any(each.measured for each in device.components):
            continue
        # What a stand-in made up never replaces what a device measured.
        whose = f"{device.name} {device.os}{' stand-in' * document.stand_in}"
        place = re.sub(r"[^a-z0-9]+", "-", whose.lower()).strip("-")
        path = cache / FOLDER / _MEASURED / device.folder / f"{place}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(path, error) from error
        alone = document.model_copy(update={"devices": [device], "error": None})
        if (earlier := _read(path)) is not None:
            alone = merged(alone, earlier)
        with written_aside(path) as aside:
            aside.write_text(json_text(alone.content), "utf-8")


def measured_binaries(cache: Path, binaries: Mapping[str, str]) -> list[ReportedDevice]:
    """What devices have measured of context binaries, in whichever bundles they are.

    Args:
        cache: folder of the artifacts.
        binaries: their hashes by component.
    """
    found: dict[tuple[str, str, bool], ReportedDevice] = {}
    folders = (cache / FOLDER / _MEASURED).glob("*")
    documents = [each for folder in folders for each in kept_of(cache, folder.name)]
    for document in sorted(documents, key=lambda each: each.made_at):
        [device] = document.devices
        same = {
            each.component: each.measured
            for each in device.components
            if each.measured is not None and binaries.get(each.component) == each.sha256
        }
        if same:
            found[device.name, device.os, document.stand_in] = ReportedDevice(
                name=device.name,
                os=device.os,
                made_at=document.made_at,
                stand_in=document.stand_in,
                image_seconds=device.image_seconds if len(same) == len(device.components) else None,
                components=same,
            )
    return list(found.values())


def kept_of(cache: Path, bundle: str) -> list[HubProfileDocument]:
    """What devices have measured of a bundle, one document each; what can't be read is another version's.

    Args:
        cache: folder of the artifacts.
        bundle: name of its folder.
    """
    found = map(_read, sorted((cache / FOLDER / _MEASURED / bundle).glob("*.json")))
    return [each for each in found if each is not None]


def _read(path: Path) -> HubProfileDocument | None:
    try:
        found = HubProfileDocument.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, ValidationError, RecursionError):
        return None
    return found if len(found.devices) == 1 else None
