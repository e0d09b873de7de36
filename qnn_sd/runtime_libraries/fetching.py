"""The runtime's libraries in one folder: out of their artifacts, or with QNN's from a QAIRT SDK."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnn_sd.artifact import Artifact, Recipe, load_or_build, sha256_of_file
from qnn_sd.console import Console
from qnn_sd.errors import IntegrityError, RuntimeLibraryError
from qnn_sd.runtime_libraries import library_names
from qnn_sd.runtime_libraries.archive import unpack
from qnn_sd.runtime_libraries.obtain import Obtained, alone, obtain
from qnn_sd.runtime_libraries.pins import Pins, PublishedSet
from qnn_sd.runtime_libraries.sdk import Sdk
from qnn_sd.toolchain import loads, version

STAGE = "runtime"
# Raised when the same artifacts would give another folder.
_LAYOUT = 1


@dataclass(frozen=True)
class Fetched:
    """A folder of runtime libraries.

    Attributes:
        artifact: the folder; its facts are ``qairt`` (the version), ``plugin`` (the execution
            provider's file) and ``origins`` (where each file is from).
        obtained: the artifacts that it was made of.
    """

    artifact: Artifact
    obtained: tuple[Obtained, ...]


def fetch(published: PublishedSet, repository: str, cache: Path, console: Console, sdk: Sdk | None = None) -> Fetched:
    """Makes the folder of a set's libraries; what is here already isn't fetched again.

    Args:
        published: the artifacts to take.
        repository: URL or name.
        cache: gets the folder, below ``runtime``.
        console: gets the progress.
        sdk: has QNN's libraries instead of the set's ``qnn_runtime``.

    Raises:
        ArtifactError: the folder is there, and damaged.
        ConfigError: the record of hashes can't be read.
        DownloadError: an artifact can't be had.
        IntegrityError: an artifact isn't what it was or should be, or lacks what it is for.
        OutputError: the cache, or the record of hashes, can't be written.
        SettingError: there is no such repository.
    """
    pins = published.pins if sdk is None else (published.plugin, published.onnxruntime)
    with alone(cache, console):
        obtained = tuple(obtain(pin, repository, cache, console) for pin in pins)
        inputs = {each.pin.coordinate: each.sha256 for each in obtained}
        if sdk is not None:
            inputs |= _hashes(sdk)
        qairt = published.qairt if sdk is None else ".".join(map(str, version(sdk.version)))
        recipe = Recipe(STAGE, f"qairt-{qairt}", inputs, {"layout": _LAYOUT}, {})
        made = load_or_build(cache, recipe, lambda folder: _fill(folder, published, obtained, sdk, qairt))
        for each in obtained:
            each.accept()
    return Fetched(made, obtained)


def companion_of(sdk: Sdk, pins: Pins) -> PublishedSet:
    """The newest set whose plugin was published for a QAIRT not newer than an SDK's.

    A plugin asks QNN's libraries for the interface that it was built with: older libraries refuse it.

    Raises:
        RuntimeLibraryError: the SDK is older than all of them.
    """
    # The same order by release as for binaries: within one, nothing says that the third number is a later version.
    fitting = [entry for entry in pins.published if loads(sdk.version, entry.qairt)]
    if not fitting:
        raise RuntimeLibraryError(
            f"The QAIRT SDK {sdk.version} is too old",
            why=f"The oldest QNN plugin that is published asks for QAIRT {pins.published[0].qairt}.",
            hint=f"Install QAIRT {pins.newest.qairt}, or leave --qairt-sdk out: qnn-sd runtime fetch.",
        )
    return fitting[-1]


def _hashes(sdk: Sdk) -> dict[str, str]:
    try:
        return {name: sha256_of_file(path) for name, path in sdk.files.items()}
    except OSError as error:
        raise RuntimeLibraryError(
            f"The QAIRT SDK in {sdk.folder} can't be read",
            why=str(error),
            hint="Check that its files are yours to read.",
        ) from error


def _fill(
    folder: Path, published: PublishedSet, obtained: tuple[Obtained, ...], sdk: Sdk | None, qairt: str
) -> Mapping[str, Any]:
    """Writes the libraries into a folder and tells where each is from."""
    wanted: dict[str, Callable[[str], bool]] = {
        published.plugin.coordinate: library_names.is_plugins,
        published.onnxruntime.coordinate: library_names.is_onnxruntime,
        published.qnn_runtime.coordinate: library_names.is_qnn,
    }
    origins: dict[str, str] = {}
    for each in obtained:
        try:
            taken = unpack(each.path, wanted[each.pin.coordinate], folder)
            _hold_content(each, published, taken)
        except IntegrityError:
            each.reject()
            raise
        origins |= dict.fromkeys(taken, each.pin.coordinate)
    if sdk is not None:
        for name, path in sdk.files.items():
            shutil.copyfile(path, folder / name)
            origins[name] = f"QAIRT SDK {sdk.version}"
    plugin = next(name for name, origin in origins.items() if library_names.is_plugin(name))
    return {"qairt": qairt, "plugin": plugin, "origins": origins}


def _hold_content(each: Obtained, published: PublishedSet, taken: list[str]) -> None:
    """Refuses an artifact without the libraries that it is fetched for."""
    if each.pin == published.plugin:
        missing = [] if any(map(library_names.is_plugin, taken)) else ["libonnxruntime_providers_qnn.so"]
    elif each.pin == published.onnxruntime:
        missing = [name for name in library_names.ONNXRUNTIME_LIBRARIES if name not in taken]
    else:
        missing = [name for name in library_names.SYSTEM_LIBRARIES if name not in taken]
        if not library_names.htp_archs(taken):
            missing.append("libQnnHtpV<arch>Stub.so with its Skel")
    if missing:
        raise IntegrityError(
            f"{each.path.name} lacks {' and '.join(missing)}",
            why="That is what the artifact is fetched for.",
            hint="Name another repository with --repository.",
        )
