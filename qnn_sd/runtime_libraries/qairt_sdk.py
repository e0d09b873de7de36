"""QNN's libraries out of a QAIRT SDK on this machine, for those who have one.

Its layout is that of the SDK's own documentation ("Running on Android"): ``lib/aarch64-android``
for the CPU's side, ``lib/hexagon-v<arch>/unsigned`` for the Hexagon's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.errors import RuntimeLibraryError
from qnn_sd.runtime_libraries import library_names

_VERSION = re.compile(r"\d+\.\d+\.\d+(?:\.\d+)?")
_YAML_VERSION = re.compile(rf"^\s*version:\s*['\"]?v?({_VERSION.pattern})", re.MULTILINE)


@dataclass(frozen=True)
class Sdk:
    """A QAIRT SDK.

    Attributes:
        folder: its root.
        version: such as ``2.50.0.260515``.
        files: QNN's libraries for a phone, by name.
    """

    folder: Path
    version: str
    files: dict[str, Path]


def open_sdk(folder: Path) -> Sdk:
    """The SDK in a folder.

    Raises:
        RuntimeLibraryError: the folder is no QAIRT SDK, or doesn't tell its version.
    """
    android = folder / "lib" / "aarch64-android"
    found = sorted(android.glob("libQnn*.so")) + sorted(folder.glob("lib/hexagon-v*/unsigned/libQnnHtpV*Skel.so"))
    files = {path.name: path for path in found if library_names.is_qnn(path.name)}
    missing = [name for name in library_names.SYSTEM_LIBRARIES if name not in files]
    if missing:
        raise RuntimeLibraryError(
            f"{folder} is no QAIRT SDK",
            why=f"{android} holds no {' and no '.join(missing)}.",
            hint="Give the folder that holds the SDK's bin, include and lib, such as qairt/2.50.0.260515.",
        )
    return Sdk(folder, _version(folder), files)


def _version(folder: Path) -> str:
    told = folder / "sdk.yaml"
    if told.is_file():
        match = _YAML_VERSION.search(told.read_text("utf-8", "replace"))
        if match is not None:
            return match[1]
    match = _VERSION.fullmatch(folder.resolve().name)
    if match is None:
        raise RuntimeLibraryError(
            f"{folder} doesn't tell its version",
            why="Neither its sdk.yaml nor its name does.",
            hint="Name the folder by its version, such as 2.50.0.260515.",
        )
    return match[0]
