"""A Maven repository: the URLs of artifacts' files, and HTTP requests.

jgo provides the layout of repositories, their names, its settings file, and HTTP with HTTPS_PROXY and the like. Its own
download doesn't resume, keeps the file of an interrupted download as if it were complete, and only warns of a wrong
checksum, so ``download.py`` downloads.
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
from qnn_sd.network_reasons import network_reason
from qnn_sd.runtime_libraries.pins import Pin

# Seconds for a connection, and between two chunks of an answer.
_TIMEOUT = (15, 60)
_MAX_CHECKSUM_FILE_BYTES = 4096
_PORTS = {"http": 80, "https": 443}
# The checksum files beside an artifact: suffix, and number of hex digits.
_CHECKSUM_DIGITS = {"sha256": 64, "sha1": 40}


@dataclass(frozen=True)
class Repository:
    """A Maven repository.

    Attributes:
        url: its root, without a slash at the end; may contain a user name and password.
    """

    url: str

    def url_of(self, pin: Pin) -> str:
        """The URL of an artifact's file."""
        from jgo.maven import MavenContext  # noqa: PLC0415

        group, artifact, number = pin.coordinate.split(":")
        context = MavenContext(remote_repos={"chosen": self.url})
        file = context.project(group, artifact).at_version(number).artifact(packaging=pin.packaging)
        return f"{self.url}/{file.component.path_prefix.as_posix()}/{file.filename}"

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """Sends a GET request; returns the answer (of the package requests) before its body is read.

        Raises:
            DownloadError: there is no answer.
        """
        from jgo.util import http  # noqa: PLC0415

        try:
            return http.get(url, stream=True, timeout=_TIMEOUT, headers=dict(headers or {}))
        # requests raises OSErrors; jgo fails to parse a Retry-After that is a date.
        except (OSError, ValueError) as error:
            raise connection_error(url, error) from error

    def refusal(self, url: str, status: int) -> DownloadError:
        """The error for an HTTP status other than success."""
        return http_error(url, status)

    def checksums(self, url: str) -> dict[str, str]:
        """The repository's own checksums of a file: hex digests by algorithm.

        Raises:
            DownloadError: the repository doesn't answer.
            IntegrityError: a checksum file has no checksum in it.
        """
        checksums = {}
        for algorithm, digits in _CHECKSUM_DIGITS.items():
            with closing(self.get(f"{url}.{algorithm}")) as answer:
                if 400 <= answer.status_code < 500:
                    continue
                if answer.status_code != 200:
                    raise http_error(f"{url}.{algorithm}", answer.status_code)
                try:
                    text = next(answer.iter_content(_MAX_CHECKSUM_FILE_BYTES), b"").decode("ascii", "replace")
                except OSError as error:
                    raise connection_error(url, error) from error
            # A digest, which the file's name may follow.
            match = re.fullmatch(rf"([0-9a-fA-F]{{{digits}}})(\s.*)?", text.strip(), re.DOTALL)
            if match is None:
                raise IntegrityError(
                    f"{without_credentials(url)}.{algorithm} has no checksum in it",
                    why=f"It begins with {text[:40]!r}.",
                    hint="Some gateways answer with a page of their own: try another --repository.",
                )
            checksums[algorithm] = match[1].lower()
        return checksums


def open_repository(name_or_url: str) -> Repository:
    """A repository by its URL, or by a name that jgo or its settings file has.

    Args:
        name_or_url: such as ``central`` or ``https://mirror.example/maven2``.

    Raises:
        DownloadError: jgo isn't installed.
        SettingError: there is no such repository.
    """
    try:
        from jgo.config import GlobalSettings  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError as error:
        raise DownloadError(
            "Runtime libraries can't be fetched", why=f"{error}.", hint=f"{install_extra('phone')}."
        ) from error
    known = {**MavenContext().remote_repos, **GlobalSettings.load().repositories}
    url = known.get(name_or_url, name_or_url)
    if server_of(url) is None:
        raise SettingError(
            f"{without_credentials(url)!r} is no repository",
            hint=f"Give its https URL, or a name. {did_you_mean(name_or_url, known)}",
        )
    return Repository(url.rstrip("/"))


def server_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an http or https URL; None for anything else."""
    try:
        parts = urlsplit(url)
        if parts.scheme in _PORTS and parts.hostname:
            return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:  # half an IPv6 address, or a port that is no number
        pass
    return None


def without_credentials(url: str) -> str:
    """A URL for messages: without user name and password, and without a query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"//[^/]*@", "//", url).partition("?")[0]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def http_error(url: str, status: int) -> DownloadError:
    """The error for an HTTP status other than success."""
    if status in (401, 403, 407):
        hint = "Check the user name and password in --repository, or the proxy's in HTTPS_PROXY."
    elif status in (404, 410):
        hint = "Name a repository that has it with --repository, or take --qairt-sdk PATH where the SDK has it."
    else:
        hint = "Try again later, or name another repository with --repository."
    what = "isn't in the repository" if status in (404, 410) else "can't be had"
    return DownloadError(f"{without_credentials(url)} {what}", why=f"The answer was HTTP {status}.", hint=hint)


def connection_error(url: str, error: Exception) -> DownloadError:
    """The error for a repository that doesn't answer."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    # The libraries' messages may contain the URL with its password.
    why = network_reason([str(error)]) or re.sub(r"//[^/@\s]*@", "//", first)[:400]
    return DownloadError(
        f"{without_credentials(url)} can't be reached",
        why=why,
        hint="Check the network, HTTPS_PROXY and --repository, and run the command again.",
    )
