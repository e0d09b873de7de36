"""The file of a Maven artifact: downloaded already, or downloaded now, and checked against its known hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qnn_sd import resources
from qnn_sd.artifact import sha256_of_file
from qnn_sd.console import Console
from qnn_sd.runtime_libraries.download import ExpectedHash, download
from qnn_sd.runtime_libraries.download_folder import download_folder, download_lock
from qnn_sd.runtime_libraries.pins import Pin, load_pins
from qnn_sd.runtime_libraries.recorded_hashes import hash_record_file, record_hash, recorded_hash
from qnn_sd.runtime_libraries.repository import open_repository

# "recorded now": no hash is known yet; that of the downloaded file is recorded, and checked from then on.
HashSource = Literal["pinned", "recorded earlier", "recorded now"]


@dataclass(frozen=True)
class ArtifactFile:
    """An artifact on this machine.

    Attributes:
        pin: the artifact.
        path: its file.
        sha256: in hex.
        hash_source: where the hash that it was checked against is from.
        repository_checksums: the algorithms of the repository's own checksums, which agreed; empty if it has none, or
            if the file was downloaded before.
        downloaded: whether it was downloaded now.
    """

    pin: Pin
    path: Path
    sha256: str
    hash_source: HashSource
    repository_checksums: tuple[str, ...]
    downloaded: bool

    def record_new_hash(self) -> None:
        """Records the hash of an artifact that has no known hash yet.

        Raises:
            OutputError: the record can't be written.
        """
        if self.hash_source == "recorded now":
            record_hash(self.pin.coordinate, self.sha256)

    def discard_if_new(self) -> None:
        """Deletes an invalid artifact that has no known hash yet, so that it is downloaded again."""
        if self.hash_source == "recorded now":
            self.path.unlink(missing_ok=True)


def expected_hash(pin: Pin) -> tuple[ExpectedHash | None, HashSource]:
    """The known hash of an artifact, and where it is from.

    Raises:
        ConfigError: the record of hashes can't be read.
    """
    if pin.pinned_hash:
        return ExpectedHash(pin.pinned_hash, "the pinned hash"), "pinned"
    recorded = recorded_hash(pin.coordinate)
    if recorded:
        owner = f"the hash recorded at the first fetch, in {hash_record_file()},"
        return ExpectedHash(recorded, owner), "recorded earlier"
    return None, "recorded now"


def ensure_artifact(pin: Pin, repository: str, cache: Path, console: Console) -> ArtifactFile:
    """The file of an artifact, downloaded if it is missing, and checked against its known hash.

    Args:
        pin: the artifact.
        repository: URL or name, used only for a download.
        cache: has the folder of downloads.
        console: shows the progress.

    Raises:
        ConfigError: the record of hashes can't be read.
        DownloadError: it can't be downloaded.
        IntegrityError: it has another hash than the known one, or than the repository's checksums.
        OutputError: the cache can't be written.
        SettingError: there is no such repository.
    """
    expected, source = expected_hash(pin)
    _, artifact, number = pin.coordinate.split(":")
    path = download_folder(cache) / f"{artifact}-{number}.{pin.packaging}"
    if path.is_file():
        found = sha256_of_file(path)
        if expected is None or found == expected.sha256:
            return ArtifactFile(pin, path, found, source, (), downloaded=False)
        console.warn(f"{path} has the SHA-256 {found}; {expected.owner} is {expected.sha256}: fetching it again")
    opened = open_repository(repository)
    result = download(opened, opened.url_of(pin), path, expected, console)
    return ArtifactFile(pin, path, result.sha256, source, result.repository_checksums, downloaded=True)


def pinned_file(pin: Pin, console: Console | None = None, repository: str | None = None) -> Path:
    """The file of a pinned artifact, downloaded if it is missing.

    Args:
        pin: the artifact, with its hash.
        console: shows the progress; None for no output.
        repository: URL or name; None for the one that is named with the pins.

    Raises:
        DownloadError: it can't be downloaded.
        IntegrityError: it has another hash.
        OutputError: the cache can't be written.
        SettingError: there is no such repository.
    """
    cache, console = resources.cache(), console or Console(quiet=True)
    with download_lock(cache, console):
        return ensure_artifact(pin, repository or load_pins().repository, cache, console).path


def desktop_jar() -> Path:
    """ONNX Runtime's jar for a desktop's JVM, with its native libraries inside (54 MB); raises as ``pinned_file``."""
    return pinned_file(load_pins().desktop)
