"""Collects the runtime libraries in one folder: from their artifacts, or with QNN's from a QAIRT SDK."""

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
from qnn_sd.runtime_libraries.artifact_files import ArtifactFile, ensure_artifact
from qnn_sd.runtime_libraries.download_folder import download_lock
from qnn_sd.runtime_libraries.pins import PublishedSet
from qnn_sd.runtime_libraries.qairt_sdk import QairtSdk
from qnn_sd.runtime_libraries.unpack_aar import unpack_aar
from qnn_sd.toolchain import version

STAGE = "runtime"
# Raised when the same artifacts give a different folder.
_LAYOUT = 1


@dataclass(frozen=True)
class FetchResult:
    """A folder of runtime libraries.

    Attributes:
        artifact: the folder; its metadata are ``qairt`` (the version), ``plugin`` (the execution provider's file) and
            ``origins`` (the origin of each file).
        sources: the Maven artifacts that the libraries are from.
    """

    artifact: Artifact
    sources: tuple[ArtifactFile, ...]


def fetch(
    published: PublishedSet, repository: str, cache: Path, console: Console, sdk: QairtSdk | None = None
) -> FetchResult:
    """Creates the folder of a set's libraries; artifacts that are in the cache aren't downloaded again.

    Args:
        published: the set.
        repository: URL or name.
        cache: gets the folder, below ``runtime``.
        console: shows the progress.
        sdk: provides QNN's libraries, in place of the set's ``qnn_runtime``.

    Raises:
        ArtifactError: the folder exists, and is damaged.
        ConfigError: the record of hashes can't be read.
        DownloadError: an artifact can't be downloaded.
        IntegrityError: an artifact has another hash than the known one, or lacks a library.
        OutputError: the cache, or the record of hashes, can't be written.
        SettingError: there is no such repository.
    """
    pins = published.pins if sdk is None else (published.plugin, published.onnxruntime)
    with download_lock(cache, console):
        sources = tuple(ensure_artifact(pin, repository, cache, console) for pin in pins)
        inputs = {source.pin.coordinate: source.sha256 for source in sources}
        if sdk is not None:
            inputs |= _sdk_hashes(sdk)
        qairt = published.qairt if sdk is None else ".".join(map(str, version(sdk.version)))
        recipe = Recipe(STAGE, f"qairt-{qairt}", inputs, {"layout": _LAYOUT}, {})
        artifact = load_or_build(cache, recipe, lambda folder: _collect(folder, published, sources, sdk, qairt))
        for source in sources:
            source.record_new_hash()
    return FetchResult(artifact, sources)


def _sdk_hashes(sdk: QairtSdk) -> dict[str, str]:
    try:
        return {name: sha256_of_file(path) for name, path in sdk.files.items()}
    except OSError as error:
        raise RuntimeLibraryError(
            f"The QAIRT SDK in {sdk.folder} can't be read",
            why=str(error),
            hint="Check that you may read its files.",
        ) from error


def _collect(
    folder: Path, published: PublishedSet, sources: tuple[ArtifactFile, ...], sdk: QairtSdk | None, qairt: str
) -> Mapping[str, Any]:
    """Writes the libraries into a folder; returns its metadata."""
    is_needed: dict[str, Callable[[str], bool]] = {
        published.plugin.coordinate: library_names.is_from_plugin_artifact,
        published.onnxruntime.coordinate: library_names.is_onnxruntime,
        published.qnn_runtime.coordinate: library_names.is_qnn,
    }
    origins: dict[str, str] = {}
    for source in sources:
        try:
            names = unpack_aar(source.path, is_needed[source.pin.coordinate], folder)
            _require_libraries(source, published, names)
        except IntegrityError:
            source.discard_if_new()
            raise
        origins |= dict.fromkeys(names, source.pin.coordinate)
    if sdk is not None:
        for name, path in sdk.files.items():
            shutil.copyfile(path, folder / name)
            origins[name] = f"QAIRT SDK {sdk.version}"
    plugin = next(name for name, origin in origins.items() if library_names.is_plugin(name))
    return {"qairt": qairt, "plugin": plugin, "origins": origins}


def _require_libraries(source: ArtifactFile, published: PublishedSet, names: list[str]) -> None:
    """Raises an IntegrityError if an artifact lacks a library that it must have."""
    if source.pin == published.plugin:
        missing = [] if any(map(library_names.is_plugin, names)) else ["libonnxruntime_providers_qnn.so"]
    elif source.pin == published.onnxruntime:
        missing = [name for name in library_names.ONNXRUNTIME_LIBRARIES if name not in names]
    else:
        missing = [name for name in library_names.SYSTEM_LIBRARIES if name not in names]
        if not library_names.htp_archs(names):
            missing.append("libQnnHtpV<arch>Stub.so with its Skel")
    if missing:
        raise IntegrityError(
            f"{source.path.name} lacks {' and '.join(missing)}",
            why="The artifact must have them.",
            hint="Name another repository with --repository.",
        )
