"""Where AI Hub Models' files are published: addresses, and HTTP requests."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from qnn_sd.errors import DownloadError, IntegrityError, SettingError
from qnn_sd.in_words import shown
from qnn_sd.installation import install_extra
from qnn_sd.runtime_libraries import Repository, connection_error, http_error, server_of, without_credentials

# As qai_hub_models_cli 0.65.0 has it (common.py).
PUBLIC_STORE = "https://qaihub-public-assets.s3.us-west-2.amazonaws.com"
# Seconds for a connection, and between two chunks of an answer.
_TIMEOUT = (15, 60)
# A manifest of 268 models has some hundred kilobytes.
_MOST_MANIFEST_BYTES = 16 << 20
# What S3 answers for a file that isn't there: 403 to those who may not list its folder.
NOT_THERE = (403, 404, 410)


class Store(Repository):
    """AI Hub Models' public store, or a mirror of it: the same paths below another address."""

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """Sends a GET request; returns the answer (of the package requests) before its body is read.

        Raises:
            DownloadError: there is no answer, or the package requests isn't installed.
            IntegrityError: https was redirected to http.
        """
        try:
            import requests  # noqa: PLC0415 (it comes with an extra)
        except ImportError as error:
            raise DownloadError(
                "Published binaries can't be fetched", why=f"{error}.", hint=f"{install_extra('hub')}."
            ) from error
        try:
            answer = requests.get(url, stream=True, timeout=_TIMEOUT, headers=dict(headers or {}))
        except (OSError, ValueError) as error:
            raise connection_error(url, error) from error
        ways = [each.url for each in (*answer.history, answer)]
        if url.startswith("https:") and not all(each.startswith("https:") for each in ways):
            answer.close()
            raise IntegrityError(
                f"{without_credentials(url)} leads away from https",
                why=f"It was redirected to {without_credentials(ways[-1])}, where anybody between could change it.",
                hint="Name another repository with --repository.",
            )
        return answer

    def refusal(self, url: str, status: int) -> DownloadError:
        """The error for an HTTP status other than success, of a file that a manifest names."""
        if status not in NOT_THERE:
            return http_error(url, status)
        return DownloadError(
            f"{without_credentials(url)} isn't in the repository",
            why=f"The release's manifest names it. The answer was HTTP {status}.",
            hint="Choose another --release, or a --repository that has it.",
        )

    def checksums(self, url: str) -> dict[str, str]:  # noqa: ARG002 (a Maven repository's own)
        """None: the store has no checksum files."""
        return {}

    def at(self, url: str) -> str:
        """Where a file is that a manifest names.

        Manifests give the public store's addresses. A manifest may not lead to any other server than the one that it
        is from: it could name one of a private network, or one without TLS.

        Raises:
            IntegrityError: it is no http address, or one elsewhere.
        """
        if url == PUBLIC_STORE or url.startswith(f"{PUBLIC_STORE}/"):
            return self.url + url.removeprefix(PUBLIC_STORE)
        server = server_of(url)
        if server is None:
            raise self._misled("names no address of a file", f"It says {url[:80]!r}.")
        if server != server_of(self.url):
            host = without_credentials(url).split("/")[2]
            tls = " without TLS" if server[0] == "http" else ""
            raise self._misled("leads to another server", f"It names a file of {shown(host)}{tls}.")
        return url

    def _misled(self, what: str, why: str) -> IntegrityError:
        return IntegrityError(
            f"A manifest in {without_credentials(self.url)} {what}",
            why=why,
            hint="Choose another --release, or another --repository.",
        )

    def manifest_file(self, url: str) -> bytes | None:
        """The content of a small file; None if it isn't there.

        Raises:
            DownloadError: it can't be had.
            IntegrityError: it is too large for a manifest.
        """
        with closing(self.get(url, {"Accept-Encoding": "identity"})) as answer:
            if answer.status_code in NOT_THERE:
                return None
            if answer.status_code != 200:
                raise self.refusal(url, answer.status_code)
            content = bytearray()
            try:
                for chunk in answer.iter_content(1 << 16):
                    content += chunk
                    if len(content) > _MOST_MANIFEST_BYTES:
                        raise IntegrityError(
                            f"{without_credentials(url)} is too large for a manifest",
                            why=f"It has more than {_MOST_MANIFEST_BYTES >> 20} MiB.",
                            hint="Name another repository with --repository.",
                        )
            except OSError as error:
                raise connection_error(url, error) from error
            return bytes(content)


def open_store(url: str | None) -> Store:
    """The public store, or a mirror.

    Raises:
        SettingError: not an http address.
    """
    if url is None:
        return Store(PUBLIC_STORE)
    if server_of(url) is None:
        raise SettingError(
            f"{without_credentials(url)!r} is no repository",
            hint=f"Give the https URL of a mirror that has the paths of {PUBLIC_STORE}.",
        )
    return Store(url.rstrip("/"))
