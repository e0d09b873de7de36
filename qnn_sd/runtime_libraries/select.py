"""Which libraries a phone gets: by its HTP, and by the QAIRT version that compiled the binary."""

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
from qnn_sd.runtime_libraries.fetch import STAGE
from qnn_sd.runtime_libraries.pins import load_pins
from qnn_sd.toolchain import load_toolchains, loads, version

_FOLDER = re.compile(r"qairt-(\d+\.\d+\.\d+)-[0-9a-f]{12}")


@dataclass(frozen=True)
class RuntimeLibraries:
    """What is staged beside the worker.

    Attributes:
        qairt: version of QNN's libraries.
        folder: where the files are.
        files: all that is staged, by name in order.
        plugin: the one of them that is the execution provider.
        origins: where each file is from, by name: an artifact's coordinate, or a QAIRT SDK with its version.
    """

    qairt: str
    folder: Path
    files: tuple[Path, ...]
    plugin: Path
    origins: Mapping[str, str]


@dataclass(frozen=True)
class LibraryFolder:
    """A folder of fetched libraries, not yet held against its manifest.

    Attributes:
        qairt: version of QNN's libraries.
        folder: where it is.
    """

    qairt: str
    folder: Path


def fetched(cache: Path) -> list[LibraryFolder]:
    """The folders of libraries in a cache, by QAIRT version; of one version the newest folder first.

    One that an earlier version of qnn-sd made is left out: it is made anew from the downloads beside it.
    """
    found = []
    for folder in (cache / STAGE).glob("qairt-*"):
        match = _FOLDER.fullmatch(folder.name)
        if match is not None and folder.is_dir() and is_current(folder):
            found.append((version(match[1]), -folder.stat().st_mtime, LibraryFolder(match[1], folder)))
    return [entry for *_, entry in sorted(found, key=lambda each: each[:2])]


def pick(htp_arch: int, binary_qairt_version: str, cache: Path | None = None) -> RuntimeLibraries:
    """The libraries for a phone: of the oldest QAIRT version here that loads the binary and knows the HTP.

    A runtime refuses what a newer QAIRT release compiled ("Using newer context binary on old SDK"); the
    closer the two versions, the more that pair was tried. Releases are compared, ``2.50`` with ``2.50``:
    the third number names a branch of builds.

    Args:
        htp_arch: Hexagon architecture, such as 75.
        binary_qairt_version: of the newest binary that is to be loaded (``qairt_version_of``).
        cache: None for the usual one.

    Raises:
        ArtifactError: the folder of libraries is damaged.
        RuntimeLibraryError: none fits; the message says what to fetch, or what to compile with.
    """
    here = fetched(cache or resources.cache())
    fitting = [entry for entry in here if loads(entry.qairt, binary_qairt_version)]
    if not fitting:
        raise _none_loads(htp_arch, binary_qairt_version, here)
    lacking = []
    for entry in fitting:
        made = load(entry.folder)
        chosen = _choose(made, htp_arch)
        missing = [name for name in chosen if name not in made.metadata["origins"]]
        if not missing:
            files = tuple(made.file(name) for name in chosen)
            origins = {name: made.metadata["origins"][name] for name in chosen}
            return RuntimeLibraries(entry.qairt, made.folder, files, made.file(made.metadata["plugin"]), origins)
        served = ", ".join(f"v{arch}" for arch in archs_in(made))
        lacking.append(f"Those of QAIRT {entry.qairt} lack {' and '.join(missing)}; they serve {served}.")
    raise RuntimeLibraryError(
        f"No runtime libraries here serve an HTP v{htp_arch}",
        why=" ".join(lacking),
        hint=f"qnn-sd runtime fetch --qairt {load_pins().newest.qairt}, or --qairt-sdk PATH with an SDK that knows it.",
    )


def archs_in(made: Artifact) -> list[int]:
    """The HTP architectures that a folder of libraries serves."""
    return library_names.htp_archs(list(made.metadata["origins"]))


def _choose(made: Artifact, htp_arch: int) -> list[str]:
    """Names of the libraries for one HTP: all that a folder has, less the other HTPs' halves."""
    others = [name for name in made.metadata["origins"] if not library_names.is_qnn(name)]
    return sorted({*others, *library_names.SYSTEM_LIBRARIES, *library_names.htp_libraries(htp_arch)})


def _none_loads(htp_arch: int, binary: str, here: list[LibraryFolder]) -> RuntimeLibraryError:
    pins = load_pins()
    found = ", ".join(entry.qairt for entry in here) or "none"
    if loads(pins.newest.qairt, binary):
        return RuntimeLibraryError(
            f"No runtime libraries here load a binary of QAIRT {binary}",
            why=f"That version compiled it, and an older release's runtime doesn't load it. Here: {found}.",
            hint=f"qnn-sd runtime fetch --qairt {pins.newest.qairt}",
        )
    # Several chips may have this HTP, and the binary's file doesn't say which it is for.
    profiles = [soc for soc in socs() if load_profile(soc).htp_arch == htp_arch]
    soc = profiles[0] if len(profiles) == 1 else "SOC"
    which = f" (SOC: {' or '.join(profiles)})" if len(profiles) > 1 else ""
    return RuntimeLibraryError(
        f"No published runtime libraries load a binary of QAIRT {binary}",
        why=f"The newest that is published is QAIRT {pins.newest.qairt}, and an older runtime doesn't load the binary.",
        hint=f"{load_toolchains().chosen.install} && qnn-sd compile --soc {soc}{which}; "
        f"with a QAIRT SDK of {binary}: qnn-sd runtime fetch --qairt-sdk PATH",
    )
