"""Selects the libraries for a phone: by its HTP, and by the QAIRT version that compiled the binaries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qnn_sd import resources
from qnn_sd.artifact import Artifact, is_current, load
from qnn_sd.config import load_profile, socs
from qnn_sd.errors import RuntimeLibraryError
from qnn_sd.runtime_libraries import library_names
from qnn_sd.runtime_libraries.fetching import STAGE
from qnn_sd.runtime_libraries.pins import load_pins
from qnn_sd.toolchain import load_toolchains, loads, version

_FOLDER = re.compile(r"qairt-(\d+\.\d+\.\d+)-[0-9a-f]{12}")


@dataclass(frozen=True)
class RuntimeLibraries:
    """The libraries that a phone gets.

    Attributes:
        qairt: version of QNN's libraries.
        folder: the folder of the files.
        files: all of them, ordered by name.
        plugin: the one that is the execution provider.
        origins: origin of each file, by name: an artifact's coordinate, or a QAIRT SDK with its version.
    """

    qairt: str
    folder: Path
    files: tuple[Path, ...]
    plugin: Path
    origins: Mapping[str, str]


@dataclass(frozen=True)
class LibraryFolder:
    """A folder of fetched libraries, not yet checked against its manifest.

    Attributes:
        qairt: version of QNN's libraries.
        folder: its path.
    """

    qairt: str
    folder: Path


def fetched_folders(cache: Path) -> list[LibraryFolder]:
    """The folders of libraries in a cache, ordered by QAIRT version; of one version the newest folder first.

    One that an earlier version of qnn-sd made is left out: it is made anew from the downloads beside it.
    """
    found = []
    for folder in (cache / STAGE).glob("qairt-*"):
        match = _FOLDER.fullmatch(folder.name)
        if match is not None and folder.is_dir() and is_current(folder):
            found.append((version(match[1]), -folder.stat().st_mtime, LibraryFolder(match[1], folder)))
    return [entry for *_, entry in sorted(found, key=lambda each: each[:2])]


def select_libraries(htp_arch: int, binary_qairt_version: str, cache: Path | None = None) -> RuntimeLibraries:
    """The libraries for a phone: of the oldest fetched QAIRT version that loads its binaries and supports its HTP.

    A runtime refuses a binary of a newer QAIRT release ("Using newer context binary on old SDK"); the closer the two
    versions, the better the pair is tested. Releases are compared, such as ``2.50``: the third number names a branch of
    builds.

    Args:
        htp_arch: Hexagon architecture, such as 75.
        binary_qairt_version: of the newest binary (``qairt_version_of``).
        cache: None for the default one.

    Raises:
        ArtifactError: the folder of libraries is damaged.
        RuntimeLibraryError: there are none; the message says what to fetch, or what to compile with.
    """
    fetched = fetched_folders(cache or resources.cache())
    compatible = [entry for entry in fetched if loads(entry.qairt, binary_qairt_version)]
    if not compatible:
        raise _none_loads(htp_arch, binary_qairt_version, fetched)
    reasons = []
    for entry in compatible:
        artifact = load(entry.folder)
        names = _needed_names(artifact, htp_arch)
        missing = [name for name in names if name not in artifact.metadata["origins"]]
        if not missing:
            files = tuple(artifact.file(name) for name in names)
            origins = {name: artifact.metadata["origins"][name] for name in names}
            plugin = artifact.file(artifact.metadata["plugin"])
            return RuntimeLibraries(entry.qairt, artifact.folder, files, plugin, origins)
        supported = ", ".join(f"v{arch}" for arch in htp_archs_in(artifact))
        reasons.append(f"Those of QAIRT {entry.qairt} lack {' and '.join(missing)}; they support {supported}.")
    raise RuntimeLibraryError(
        f"No fetched runtime libraries support an HTP v{htp_arch}",
        why=" ".join(reasons),
        hint=f"qnn-sd runtime fetch --qairt {load_pins().newest.qairt}, or --qairt-sdk PATH with an SDK that does.",
    )


def htp_archs_in(artifact: Artifact) -> list[int]:
    """The HTP architectures that a folder of libraries supports."""
    return library_names.htp_archs(list(artifact.metadata["origins"]))


def _needed_names(artifact: Artifact, htp_arch: int) -> list[str]:
    """Names of the libraries for an HTP: all of a folder, without the stubs and skels of other HTPs."""
    others = [name for name in artifact.metadata["origins"] if not library_names.is_qnn(name)]
    return sorted({*others, *library_names.SYSTEM_LIBRARIES, *library_names.htp_libraries(htp_arch)})


def _none_loads(htp_arch: int, binary: str, fetched: list[LibraryFolder]) -> RuntimeLibraryError:
    pins = load_pins()
    versions = ", ".join(entry.qairt for entry in fetched) or "none"
    if loads(pins.newest.qairt, binary):
        return RuntimeLibraryError(
            f"No fetched runtime libraries load a binary of QAIRT {binary}",
            why=f"The runtime of an older release doesn't load it. Fetched: {versions}.",
            hint=f"qnn-sd runtime fetch --qairt {pins.newest.qairt}",
        )
    # Several SoCs may have this HTP, and the binary's file doesn't say which one it is for.
    profiles = [soc for soc in socs() if load_profile(soc).htp_arch == htp_arch]
    soc = profiles[0] if len(profiles) == 1 else "SOC"
    choice = f" (SOC: {' or '.join(profiles)})" if len(profiles) > 1 else ""
    return RuntimeLibraryError(
        f"No published runtime libraries load a binary of QAIRT {binary}",
        why=f"The newest that is published is QAIRT {pins.newest.qairt}, and an older runtime doesn't load the binary.",
        hint=f"{load_toolchains().chosen.install} && qnn-sd compile --soc {soc}{choice}; "
        f"with a QAIRT SDK of {binary}: qnn-sd runtime fetch --qairt-sdk PATH",
    )
