"""Why a server can't be reached, in words: the packages that do HTTP only show each other's objects."""

from __future__ import annotations

import re
from collections.abc import Iterable

_REASONS = (
    (r"CERTIFICATE_VERIFY_FAILED", "The server's certificate isn't trusted here (a proxy that opens connections?)."),
    (
        r"ProxyError|Tunnel connection|Unable to connect to proxy",
        "The proxy can't be reached, or doesn't connect to it.",
    ),
    (
        r"Name or service not known|name resolution|getaddrinfo|nodename nor servname|Failed to resolve",
        "Its name can't be resolved.",
    ),
    (r"Connection refused", "The connection is refused."),
    (r"Network is unreachable|No route to host", "There is no way to it from this network."),
    (r"[Tt]imed? ?out", "It doesn't answer in time."),
    (r"EOF occurred|Connection aborted|IncompleteRead|reset by peer|Broken pipe", "The connection was cut."),
)


def network_reason(texts: Iterable[str]) -> str:
    """The first known reason in the texts of exceptions that caused each other; empty where none is known."""
    known = list(texts)
    return next((reason for pattern, reason in _REASONS if any(re.search(pattern, text) for text in known)), "")
