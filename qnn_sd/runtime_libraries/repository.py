"""A Maven repository, through jgo: where an artifact's file is, and HTTP to get it.

jgo brings the layout of repositories, their names, its settings file and HTTP that honours
HTTPS_PROXY and its like. It doesn't resume, keeps what a cut download left as if it were whole,
and only warns of a wrong checksum, so its bytes are taken by ``download.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from qnn_sd.errors import DownloadError, IntegrityError, SettingError, did_you_mean
from qnn_sd.installation import install_extra
from qnn_sd.runtime_libraries.pins import Pin

# Seconds until a connection stands, and between two pieces of an answer.
_TIMEOUT = (15, 60)
_LONGEST_CHECKSUM_FILE = 4096
# Digits of the checksum files that repositories keep beside an artifact.
_CHECKSUMS = {"sha256": 64, "sha1": 40}


@dataclass(frozen=True)
class Repository:
    """A Maven repository.

    Attributes:
        url: its root, without a slash at the end; may hold a name and password.
    """

    url: str

    @property
    def shown(self) -> str:
        """Its address without a name and password."""
        return without_secrets(self.url)

    def url_of(self, pin: Pin) -> str:
        """Where an artifact's file is."""
        from jgo.maven import MavenContext  # noqa: PLC0415

        group, artifact, number = pin.coordinate.split(":")
        context = MavenContext(remote_repos={"chosen": self.url})
        file = context.project(group, artifact).at_version(number).artifact(packaging=pin.packaging)
        return f"{self.url}/{file.component.path_prefix.as_posix()}/{file.filename}"

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """The answer (of the package requests) to a GET, its body not yet read.

        Raises:
            DownloadError: there is no answer.
        """
        from jgo.util import http  # noqa: PLC0415

        try:
            return http.get(url, stream=True, timeout=_TIMEOUT, headers=dict(headers or {}))
        # requests' errors are OSErrors; jgo reads a number where a server may send a date.
        except (OSError, ValueError) as error:
            raise unreachable(url, error) from error

    def checksums(self, url: str) -> dict[str, str]:
        """The checksums that the repository itself names for a file: hex digests by algorithm.

        Raises:
            DownloadError: the repository doesn't answer.
            IntegrityError: a checksum file holds no checksum.
        """
        found = {}
        for algorithm, digits in _CHECKSUMS.items():
            with closing(self.get(f"{url}.{algorithm}")) as answer:
                if 400 <= answer.status_code < 500:
                    continue
                if answer.status_code != 200:
                    raise refused(f"{url}.{algorithm}", answer.status_code)
                try:
                    text = next(answer.iter_content(_LONGEST_CHECKSUM_FILE), b"").decode("ascii", "replace")
                except OSError as error:
                    raise unreachable(url, error) from error
            # A digest alone, or followed by the file's name.
            match = re.fullmatch(rf"([0-9a-fA-F]{{{digits}}})(\s.*)?", text.strip(), re.DOTALL)
            if match is None:
                raise IntegrityError(
                    f"{without_secrets(url)}.{algorithm} holds no checksum",
                    why=f"It begins with {text[:40]!r}.",
                    hint="Some gateways answer with a page of their own: try another --repository.",
                )
            found[algorithm] = match[1].lower()
        return found


def open_repository(named: str) -> Repository:
    """A repository by its URL, or by a name that jgo or its settings file knows.

    Args:
        named: such as ``central`` or ``https://mirror.example/maven2``.

    Raises:
        DownloadError: jgo isn't installed.
        SettingError: neither.
    """
    try:
        from jgo.config import GlobalSettings  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError as error:
        raise DownloadError(
            "Runtime libraries can't be fetched", why=f"{error}.", hint=f"{install_extra('phone')}."
        ) from error
    known = {**MavenContext().remote_repos, **GlobalSettings.load().repositories}
    url = known.get(named, named)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise SettingError(
            f"{without_secrets(url)!r} is no repository",
            hint=f"Give its https address, or a name. {did_you_mean(named, known)}",
        )
    return Repository(url.rstrip("/"))


def without_secrets(url: str) -> str:
    """A URL as it may be shown: without a name and password, and without a query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def refused(url: str, status: int) -> DownloadError:
    """The repository answered, but not with the file."""
    if status in (401, 403, 407):
        hint = "Check the name and password in --repository, or the proxy's in HTTPS_PROXY."
    elif status in (404, 410):
        hint = "Name a repository that has it with --repository, or take --qairt-sdk PATH where the SDK has it."
    else:
        hint = "Try again later, or name another repository with --repository."
    what = "isn't in the repository" if status in (404, 410) else "can't be had"
    return DownloadError(f"{without_secrets(url)} {what}", why=f"The answer was HTTP {status}.", hint=hint)


def unreachable(url: str, error: Exception) -> DownloadError:
    """The repository didn't answer."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    # What the libraries say may quote the address with its password.
    why = re.sub(r"//[^/@\s]*@", "//", first)[:400]
    return DownloadError(
        f"{without_secrets(url)} can't be reached",
        why=why,
        hint="Check the network, HTTPS_PROXY and --repository, and run the command again.",
    )
