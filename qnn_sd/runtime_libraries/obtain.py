"""One artifact on this machine: from the folder of downloads, or from a repository."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qnn_sd import resources
from qnn_sd.artifact import sha256_of_file
from qnn_sd.console import Console
from qnn_sd.output_files import output_error
from qnn_sd.runtime_libraries.download import Expected, download
from qnn_sd.runtime_libraries.pins import Pin, load_pins
from qnn_sd.runtime_libraries.recorded_hashes import ledger_file, record, recorded
from qnn_sd.runtime_libraries.repository import open_repository

Trust = Literal["pinned", "recorded earlier", "recorded now"]


@dataclass(frozen=True)
class Obtained:
    """An artifact's file.

    Attributes:
        pin: what was asked for.
        path: where it is.
        sha256: in hex.
        trust: what its hash was held to; ``recorded now`` is nothing yet.
        checked: the algorithms by which the repository's own checksums agreed; empty if it has
            none, or if the file was here already.
        downloaded: whether it came just now.
    """

    pin: Pin
    path: Path
    sha256: str
    trust: Trust
    checked: tuple[str, ...]
    downloaded: bool

    def accept(self) -> None:
        """Records the hash of an artifact that isn't pinned: from now on it is held.

        Raises:
            OutputError: the record can't be written.
        """
        if self.trust == "recorded now":
            record(self.pin.coordinate, self.sha256)

    def reject(self) -> None:
        """Throws away an artifact that proved to be no good before anybody held its hash."""
        if self.trust == "recorded now":
            self.path.unlink(missing_ok=True)


def downloads(cache: Path) -> Path:
    """The folder of the downloaded artifacts in a cache."""
    return cache / "downloads"


@contextmanager
def alone(cache: Path, console: Console) -> Iterator[None]:
    """Keeps a second command from writing to the same downloads while the block runs; it waits.

    Raises:
        OutputError: the folder can't be written.
    """
    lock = downloads(cache) / ".lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("w")
    except OSError as error:
        raise output_error(lock, error) from error
    with handle:
        # Some network file systems have no locks: two commands' mixed bytes would still fail their checks.
        with suppress(OSError):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                console.say(f"waiting for another qnn-sd that fetches runtime libraries (it holds {lock})")
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def known_hash(pin: Pin) -> tuple[Expected | None, Trust]:
    """The hash that an artifact is held to here, and how it is known.

    Raises:
        ConfigError: the record of hashes can't be read.
    """
    if pin.pinned:
        return Expected(pin.pinned, "the pinned hash"), "pinned"
    earlier = recorded(pin.coordinate)
    if earlier:
        return Expected(earlier, f"the hash recorded at the first fetch, in {ledger_file()},"), "recorded earlier"
    return None, "recorded now"


def obtain(pin: Pin, repository: str, cache: Path, console: Console) -> Obtained:
    """An artifact's file, downloaded if it isn't here, held to the hash that is known of it.

    Args:
        pin: the artifact.
        repository: URL or name, asked only if something is to be downloaded.
        cache: its folder ``downloads`` holds what was downloaded.
        console: gets the progress.

    Raises:
        ConfigError: the record of hashes can't be read.
        DownloadError: it can't be had.
        IntegrityError: it isn't what it was, or not what its repository says it is.
        OutputError: the cache can't be written.
        SettingError: there is no such repository.
    """
    expected, trust = known_hash(pin)
    _, artifact, number = pin.coordinate.split(":")
    target = downloads(cache) / f"{artifact}-{number}.{pin.packaging}"
    if target.is_file():
        found = sha256_of_file(target)
        if expected is None or found == expected.sha256:
            return Obtained(pin, target, found, trust, (), downloaded=False)
        console.warn(f"{target} has the SHA-256 {found}; {expected.by} is {expected.sha256}: fetching it again")
    opened = open_repository(repository)
    came = download(opened, opened.url_of(pin), target, expected, console)
    return Obtained(pin, target, came.sha256, trust, came.checked, downloaded=True)


def file_of(pin: Pin, console: Console | None = None, repository: str | None = None) -> Path:
    """The file of a pinned artifact, downloaded if it isn't here.

    Args:
        pin: the artifact, with its hash.
        console: gets the progress; None for silence.
        repository: URL or name; None for the pinned one.

    Raises:
        DownloadError: it can't be had.
        IntegrityError: it isn't the pinned file.
        OutputError: the cache can't be written.
        SettingError: there is no such repository.
    """
    cache, told = resources.cache(), console or Console(quiet=True)
    with alone(cache, told):
        return obtain(pin, repository or load_pins().repository, cache, told).path


def desktop_jar() -> Path:
    """ONNX Runtime's jar for a desktop's JVM, with its native libraries inside (54 MB); see ``file_of``."""
    return file_of(load_pins().desktop)
