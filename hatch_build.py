"""What the build adds to the package: the documentation's pages, and the project's addresses where they are known.

The repository's address is written nowhere in the source. It is ``QNN_SD_PROJECT_URL``, or the checkout's remote
``origin`` if that is at a host that is known to be public: another one may be somebody's own, with their name in it.
Otherwise the metadata has no addresses.
"""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

VARIABLE = "QNN_SD_PROJECT_URL"
# Where a host shows a file of the default branch; on others only the repository itself has a known address.
_FILES = {"github.com": "blob/HEAD", "gitlab.com": "-/blob/HEAD", "bitbucket.org": "src/HEAD"}
# Names that only a home's or a company's own network knows.
_PRIVATE = (".local", ".localhost", ".localdomain", ".internal", ".intranet", ".lan", ".home", ".corp", ".test")
_SCP_LIKE = re.compile(r"^(?:[\w.-]+@)(?P<host>[\w.-]+):(?P<path>[^/].*)$")


class CustomBuildHook(BuildHookInterface):
    """Puts the pages into the wheel: Markdown alone, without the images."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds files, before the wheel is written."""
        root = Path(self.root)
        if self.target_name == "wheel" and version != "editable":
            for page in (root / "README.md", *sorted((root / "docs").glob("*.md"))):
                build_data["force_include"][str(page)] = f"qnn_sd/_data/{page.relative_to(root).as_posix()}"


class CustomMetadataHook(MetadataHookInterface):
    """Sets the project's addresses."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Adds ``urls`` to the project's metadata."""
        typed = os.environ.get(VARIABLE)
        urls = project_urls(typed or origin(Path(self.root)))
        known = urlsplit(urls.get("Source", "")).hostname in _FILES
        metadata["urls"] = urls if typed or known else {}


def origin(root: Path) -> str:
    """The remote ``origin`` of a checkout; empty where there is none, or no git."""
    # The folder itself: a copy of the source inside another repository isn't that one's.
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "config", "--get", "remote.origin.url"]
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def project_urls(address: str) -> dict[str, str]:
    """The addresses of a repository on a public host, by label; none for any other.

    Args:
        address: as git has it; what it holds of a user's name and password is left out.
    """
    scp = _SCP_LIKE.match(address)
    try:
        parts = urlsplit(f"ssh://{scp['host']}/{scp['path']}" if scp else address)
    except ValueError:  # brackets without an IPv6 address between them
        return {}
    host, path = parts.hostname or "", parts.path.strip("/").removesuffix(".git")
    if parts.scheme not in ("http", "https", "ssh") or not path or not _is_public(host):
        return {}
    # An address over ssh is none for a browser, and a port of ssh or of a test none of the web's.
    url = f"https://{host}/{path}"
    urls = {"Source": url, "Issues": f"{url}/issues"}
    if files := _FILES.get(host):
        urls |= {"Documentation": f"{url}/{files}/README.md", "Changelog": f"{url}/{files}/CHANGELOG.md"}
    return urls


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_PRIVATE)
