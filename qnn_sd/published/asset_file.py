"""The zip of a published asset: downloaded already, or downloaded now, and held to the hash of its first download."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.artifact import sha256_of_file
from qnn_sd.console import Console
from qnn_sd.errors import IntegrityError
from qnn_sd.published.release import MODEL_ID, PublishedAsset
from qnn_sd.published.store import Store
from qnn_sd.runtime_libraries import (
    ExpectedHash,
    download_file,
    folder_of_downloads,
    hash_record_file,
    record_hash,
    recorded_hash,
)

# Stable Diffusion 1.5 in W8A16 has 1.1 GB.
_MOST_BYTES = 6 << 30
# It is the name of a file here.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}\.zip")


@dataclass(frozen=True)
class AssetFile:
    """A published zip on this machine.

    Attributes:
        asset: what it is.
        path: of the file.
        sha256: in hex.
        was_known: whether an earlier download's hash was there to hold it to.
        downloaded: whether it was downloaded now.
    """

    asset: PublishedAsset
    path: Path
    sha256: str
    was_known: bool
    downloaded: bool

    @property
    def record_name(self) -> str:
        """What it is called in the record of hashes."""
        return _record_name(self.asset)

    def record_new_hash(self) -> None:
        """Records its hash if none was known: every later download is held to it.

        Raises:
            OutputError: the record can't be written.
        """
        if not self.was_known:
            record_hash(self.record_name, self.sha256)

    def discard_if_new(self) -> None:
        """Deletes a zip that is no good and that no earlier one vouches for, so that it is downloaded again."""
        if not self.was_known:
            self.path.unlink(missing_ok=True)


def _record_name(asset: PublishedAsset) -> str:
    return f"ai-hub-models/{MODEL_ID}/v{asset.release}/{asset.file_name}"


def ensure_asset(asset: PublishedAsset, store: Store, cache: Path, console: Console) -> AssetFile:
    """The zip of an asset, downloaded if it is missing. Call it with the lock of the folder of downloads.

    Raises:
        ConfigError: the record of hashes can't be read.
        DownloadError: it can't be downloaded; the next call goes on where this one stopped.
        IntegrityError: it has another hash than at its first download.
        OutputError: the cache can't be written.
    """
    if not _PLAIN_NAME.fullmatch(asset.file_name):
        raise IntegrityError(
            f"AI Hub Models {asset.release} names no zip for {asset.chipset}",
            why=f"It names {asset.file_name[:80]!r}.",
            hint="Choose another --release.",
        )
    recorded = recorded_hash(_record_name(asset))
    expected = recorded and ExpectedHash(recorded, f"the hash recorded at the first fetch, in {hash_record_file()},")
    path = folder_of_downloads(cache) / f"v{asset.release}-{asset.file_name}"
    if path.is_file():
        with console.reading(f"checking {path.name}", path.stat().st_size) as on_bytes:
            found = sha256_of_file(path, on_bytes)
        if not expected or found == expected.sha256:
            return AssetFile(asset, path, found, bool(expected), downloaded=False)
        console.warn(f"{path} has the SHA-256 {found}; {expected.owner} is {expected.sha256}: fetching it again")
    result = download_file(store, asset.url, path, expected or None, console, _MOST_BYTES)
    return AssetFile(asset, path, result.sha256, bool(expected), downloaded=True)
