"""QNN's libraries of a QAIRT SDK on this machine.

The folders are those of the SDK's documentation ("Running on Android"): ``lib/aarch64-android`` for the libraries of
the CPU, ``lib/hexagon-v<arch>/unsigned`` for those of the Hexagon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.errors import RuntimeLibraryError
from qnn_sd.runtime_libraries import library_names
from qnn_sd.runtime_libraries.pins import Pins, PublishedSet
from qnn_sd.toolchain import loads

_VERSION = re.compile(r"\d+\.\d+\.\d+(?:\.\d+)?")
_YAML_VERSION = re.compile(rf"^\s*version:\s*['\"]?v?({_VERSION.pattern})", re.MULTILINE)


@dataclass(frozen=True)
class QairtSdk:
    """A QAIRT SDK.

    Attributes:
        folder: its root.
        version: such as ``2.50.0.260515``.
        files: QNN's libraries for a phone, by name.
    """

    folder: Path
    version: str
    files: dict[str, Path]


def open_qairt_sdk(folder: Path) -> QairtSdk:
    """Opens the SDK in a folder.

    Raises:
        RuntimeLibraryError: the folder is no QAIRT SDK, or its version can't be found.
    """
    android = folder / "lib" / "aarch64-android"
    found = sorted(android.glob("libQnn*.so")) + sorted(folder.glob("lib/hexagon-v*/unsigned/libQnnHtpV*Skel.so"))
    files = {path.name: path for path in found if library_names.is_qnn(path.name)}
    missing = [name for name in library_names.SYSTEM_LIBRARIES if name not in files]
    if missing:
        raise RuntimeLibraryError(
            f"{folder} is no QAIRT SDK",
            why=f"{android} has no {' and no '.join(missing)}.",
            hint="Give the folder that has the SDK's bin, include and lib, such as qairt/2.50.0.260515.",
        )
    return QairtSdk(folder, _sdk_version(folder), files)


def _sdk_version(folder: Path) -> str:
    description = folder / "sdk.yaml"
    if description.is_file():
        match = _YAML_VERSION.search(description.read_text("utf-8", "replace"))
        if match is not None:
            return match[1]
    match = _VERSION.fullmatch(folder.resolve().name)
    if match is None:
        raise RuntimeLibraryError(
            f"The version of the SDK in {folder} is unknown",
            why="Neither its sdk.yaml nor its name has it.",
            hint="Name the folder after its version, such as 2.50.0.260515.",
        )
    return match[0]


def published_set_for_sdk(sdk: QairtSdk, pins: Pins) -> PublishedSet:
    """The newest published set whose plugin works with the libraries of an SDK.

    A plugin needs QNN's libraries of its own QAIRT release or a newer one: it requests the interface that it was built
    with, which older libraries don't have.

    Raises:
        RuntimeLibraryError: the SDK is older than all of them.
    """
    # Compared by release, as for binaries: within a release, the third number is no order of versions.
    fitting = [entry for entry in pins.published if loads(sdk.version, entry.qairt)]
    if not fitting:
        raise RuntimeLibraryError(
            f"The QAIRT SDK {sdk.version} is too old",
            why=f"The oldest QNN plugin that is published needs QAIRT {pins.published[0].qairt}.",
            hint=f"Install QAIRT {pins.newest.qairt}, or leave --qairt-sdk out: qnn-sd runtime fetch.",
        )
    return fitting[-1]
