"""The account: ``client.ini``, where AI Hub's own client reads it. The token in it never prints."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from qnn_sd.console import Console
from qnn_sd.errors import HubAccountError

PATH_VARIABLE = "QAIHUB_CLIENT_INI"
_DEFAULT_PATH = "~/.qai_hub/client.ini"
SERVICE_URL = "https://workbench.aihub.qualcomm.com"
# The service was there before; clients of today don't know the host.
_FORMER_HOST = "app.aihub.qualcomm.com"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SECTION = "api"
_KEYS = ("api_url", "web_url", "api_token")
_HIDDEN = "[API token]"
# What a header of HTTP and an address can carry, without spaces.
_PRINTED = re.compile(r"[!-~]+")


class Token:
    """An API token. It shows as a placeholder wherever it is printed; ``reveal`` is for the header of a request."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The token itself."""
        return self._text

    def hidden_in(self, text: str) -> str:
        """A text of the service or of the network, without the token."""
        return text.replace(self._text, _HIDDEN)

    def __repr__(self) -> str:
        return _HIDDEN

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("an API token is not stored")


@dataclass(frozen=True)
class Configuration:
    """An account at AI Hub.

    Attributes:
        path: the file that it was read from.
        api_url: of the service.
        web_url: of its pages, for links.
        token: of the account.
        project: the default project of its jobs, if the file names one.
    """

    path: Path
    api_url: str
    web_url: str
    token: Token
    project: str | None = None

    @property
    def account_key(self) -> str:
        """What tells accounts apart on disk: a hash, of which the token can't be had back."""
        return hashlib.sha256(f"{self.api_url}\n{self.token.reveal()}".encode()).hexdigest()[:16]

    @property
    def is_loopback(self) -> bool:
        """Whether the service is on this machine: the stand-in."""
        return urlsplit(self.api_url).hostname in _LOOPBACK

    @property
    def host(self) -> str:
        """Of the service."""
        return urlsplit(self.api_url).netloc


def configuration_path() -> Path:
    """The file that AI Hub's client reads."""
    return Path(os.environ.get(PATH_VARIABLE) or _DEFAULT_PATH).expanduser()


def read_configuration(console: Console) -> Configuration:
    """Reads the account.

    Args:
        console: gets a warning where the file names a host that was given up.

    Raises:
        HubAccountError: there is no such file, or it can't be used.
    """
    path = configuration_path()
    values = _section(path)
    if missing := [key for key in _KEYS if key not in values]:
        raise _unusable(path, f"has no {' and no '.join(missing)} in its section [{_SECTION}]")
    token = values["api_token"].strip()
    if not token:
        raise _unusable(path, "has an empty api_token")
    if not _PRINTED.fullmatch(token):
        raise _unusable(path, "has an api_token with a space or another character that none has")
    for key in ("api_url", "web_url"):
        if not _is_plain(values[key]):
            raise _unusable(path, f"has no plain web address as its {key}: scheme and host, no name, no ? and no #")
        if token in values[key]:
            raise _unusable(path, f"has the API token in its {key}, which is shown in links")
    found = Configuration(path, values["api_url"], values["web_url"], Token(token), values.get("default_project"))
    if urlsplit(found.api_url).hostname == _FORMER_HOST:
        console.warn(f"{path} names {_FORMER_HOST}, AI Hub's former host. Write api_url = {SERVICE_URL} into it")
    if urlsplit(found.api_url).scheme == "http" and not found.is_loopback:
        console.warn(f"{path} names an address without encryption, {found.api_url}: others on the way read the token")
    return found


def _is_plain(address: str) -> bool:
    """Whether an address can be shown: one with a name, a query or a fragment may hold what nobody else should see."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:  # an open bracket, a port that is none
        return False
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    return is_web and bool(_PRINTED.fullmatch(address)) and not any(each in address for each in "@?#")


def _section(path: Path) -> dict[str, str]:
    """The section's values. Errors of the parser quote lines of the file, so none is chained to what is raised."""
    # A token is no format string.
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise HubAccountError(
            f"There is no API token for Qualcomm AI Hub: {path} doesn't exist",
            hint=f"{_how_to_write(path)} To try it without an account: qnn-sd hub stand-in.",
        ) from None
    except OSError as error:
        raise HubAccountError(
            f"The API token for Qualcomm AI Hub can't be read from {path}",
            why=error.strerror or type(error).__name__,
            hint=f"Make the file readable for you, or name another one with {PATH_VARIABLE}.",
        ) from None
    except (configparser.Error, UnicodeDecodeError):
        raise _unusable(path, "is no ini file") from None
    if parser.has_section(_SECTION):
        return dict(parser[_SECTION])
    if other := next((each for each in parser.sections() if each.strip().lower() == _SECTION), None):
        raise _unusable(path, f"has a section [{other}] where AI Hub's client reads [{_SECTION}]")
    return {}


def _unusable(path: Path, what: str) -> HubAccountError:
    return HubAccountError(f"{path} names no account at Qualcomm AI Hub", why=f"It {what}.", hint=_how_to_write(path))


def _how_to_write(path: Path) -> str:
    return (
        f"Copy your token from the account's page at {SERVICE_URL} into {path}: a line [{_SECTION}], and below it "
        f"api_token = YOUR TOKEN, api_url = {SERVICE_URL} and web_url = {SERVICE_URL}."
    )
