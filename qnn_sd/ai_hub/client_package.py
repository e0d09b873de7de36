"""AI Hub's own client, ``qai-hub``: whether it is installed, and new enough."""

from __future__ import annotations

from importlib import metadata

from packaging.version import InvalidVersion, Version

from qnn_sd.errors import HubAccountError
from qnn_sd.installation import install_extra

DISTRIBUTION = "qai-hub"
# The first whose inference jobs profile without inputs; before it a profile was a job of its own.
LOWEST = Version("0.56.0")


def client_version() -> str:
    """Of the installed client.

    Raises:
        HubAccountError: there is none.
    """
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise HubAccountError("Qualcomm AI Hub's client isn't installed", hint=_hint()) from None


def _hint() -> str:
    return f"{install_extra('hub')}."


def require_client() -> None:
    """Makes sure that the client can be used.

    Raises:
        HubAccountError: it is missing, older than ``LOWEST``, or can't be imported.
    """
    installed = client_version()
    try:
        is_old = Version(installed) < LOWEST
    except InvalidVersion:
        is_old = False
    if is_old:
        raise HubAccountError(
            f"Qualcomm AI Hub's client {installed} is too old",
            why=f"{DISTRIBUTION} {LOWEST} is the first that profiles in an inference job.",
            hint=_hint(),
        )
    try:
        import qai_hub  # noqa: F401, PLC0415 (the extra may not be installed)
    except ImportError as error:
        raise HubAccountError(
            f"Qualcomm AI Hub's client {installed} can't be imported", why=f"{error}.", hint=_hint()
        ) from error
