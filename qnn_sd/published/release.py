"""A release of AI Hub Models: which files it has of Stable Diffusion 1.5, and which one is for a SoC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError
from packaging.version import InvalidVersion, Version

from qnn_sd.config import DeviceProfile, profiles
from qnn_sd.errors import DownloadError, IntegrityError, SettingError
from qnn_sd.in_words import shown
from qnn_sd.published import messages
from qnn_sd.published.store import Store
from qnn_sd.runtime_libraries import without_credentials

# The last one whose layout was read (package qai_hub_models_cli 0.65.0).
DEFAULT_RELEASE = "0.65.0"
# The first one with manifest files.
_FIRST_RELEASE = Version("0.52.0")
MODEL_ID = "stable_diffusion_v1_5"


@dataclass(frozen=True)
class PublishedAsset:
    """A zip of context binaries for a chipset.

    Attributes:
        release: of AI Hub Models.
        chipset: AI Hub's name of the SoC.
        url: of the zip.
        qairt: that compiled it, such as ``2.50.0.260828221209``; empty where the manifest doesn't say.
    """

    release: str
    chipset: str
    url: str
    qairt: str

    @property
    def file_name(self) -> str:
        """The zip's own name."""
        return PurePosixPath(urlsplit(self.url).path).name


def release_number(text: str) -> str:
    """A release as addresses have it.

    Raises:
        SettingError: no release number, or one without manifest files.
    """
    try:
        number = Version(text.removeprefix("v"))
    except InvalidVersion as error:
        raise SettingError(
            f"{text!r} is no release of AI Hub Models", hint=f"Give a number, such as {DEFAULT_RELEASE}."
        ) from error
    if number < _FIRST_RELEASE:
        raise SettingError(
            f"AI Hub Models {number} can't be fetched from",
            why=f"Releases have manifest files from {_FIRST_RELEASE} on.",
            hint=f"Choose a later one; without --release it is {DEFAULT_RELEASE}.",
        )
    return str(number)


def published_assets(store: Store, release: str) -> list[PublishedAsset]:
    """The context binaries of Stable Diffusion 1.5, W8A16, in a release.

    Raises:
        DownloadError: the store can't be reached, or has no such release, or no such model in it.
        IntegrityError: a manifest can't be read.
    """
    url = f"{store.url}/qai-hub-models/releases/v{release}/manifest.pb"
    content = store.manifest_file(url)
    if content is None:
        raise DownloadError(
            f"AI Hub Models {release} isn't in {without_credentials(store.url)}",
            why=f"There is no {without_credentials(url)}.",
            hint=f"Choose another --release, such as {DEFAULT_RELEASE}; pip index versions qai-hub-models lists them.",
        )
    manifest = _parsed(messages.ReleaseManifest, content, url)
    entry = next((each for each in manifest.models if each.id == MODEL_ID), None)
    found = store.manifest_file(store.at(entry.manifest_urls.release_assets)) if entry is not None else None
    if entry is None or found is None:
        raise DownloadError(
            f"AI Hub Models {release} has no files of {MODEL_ID}",
            why=f"Its manifest lists {len(manifest.models)} models"
            + (", not this one." if entry is None else ", and this one's list of files isn't there."),
            hint="Choose another --release, or build it: qnn-sd compile --model sd15.",
        )
    assets = _parsed(messages.ReleaseAssets, found, entry.manifest_urls.release_assets)
    return [
        PublishedAsset(release, each.chipset, store.at(each.download_url), each.tool_versions.qairt)
        for each in assets.assets
        if each.runtime == messages.QNN_CONTEXT_BINARY and each.precision == messages.W8A16 and each.chipset
    ]


def _parsed(kind: Any, content: bytes, url: str) -> Any:
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise IntegrityError(
            f"{without_credentials(url)} can't be read as a manifest",
            why=shown(str(error)),
            hint="Some gateways answer with a page of their own: try another --repository.",
        ) from error


def asset_for(assets: Sequence[PublishedAsset], profile: DeviceProfile, release: str) -> PublishedAsset:
    """The asset of a SoC.

    Raises:
        DownloadError: there is none; those that there are are named.
    """
    names = profile.ai_hub.chipsets
    found = next((each for name in names for each in assets if each.chipset == name), None)
    if found is not None:
        return found
    listed = {each.chipset for each in assets}
    others = sorted(soc for soc, other in profiles().items() if listed.intersection(other.ai_hub.chipsets))
    raise DownloadError(
        f"AI Hub Models {release} has no Stable Diffusion 1.5 for {profile.soc}",
        why=f"It is published for {', '.join(others) or 'no SoC that has a profile'}"
        + (f"; AI Hub calls this one {' or '.join(names)}." if names else "; AI Hub has no name of this one."),
        hint=f"Build it: qnn-sd compile --model sd15 --soc {profile.soc}. Or choose another --release or --soc.",
    )
