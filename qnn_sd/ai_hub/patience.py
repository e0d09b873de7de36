"""How long to wait where AI Hub asks for fewer requests, or doesn't answer: in our own words, and not without end."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from qnn_sd.ai_hub.api import Api, CallFailed
from qnn_sd.ai_hub.client_package import client_version
from qnn_sd.ai_hub.configuration import Configuration
from qnn_sd.ai_hub.service_errors import Failure
from qnn_sd.console import Console
from qnn_sd.errors import HubServiceError
from qnn_sd.in_words import duration

_Result = TypeVar("_Result")
# In all, for one request. Where the service asks for more, the command ends and says so.
MOST_SECONDS = 300.0
_MOST_TRIES = 30
_FIRST_PAUSE_SECONDS = 5.0
# A service that asks for none, or for years.
_ASKED_SECONDS = (1.0, 1e7)
_LONGEST_PAUSE_SECONDS = 60.0
_ANSWER_SECONDS = (3.05, 28.0)
_MESSAGE = "application/x-protobuf"
_RECONNECTING_SECONDS = (0.5, 2.0)


def patiently(
    api: Api, console: Console, doing: str, function: Callable[..., _Result], *args: Any, **named: Any
) -> _Result:
    """A call that is tried again as long as the service only asks for fewer requests.

    Raises:
        CallFailed: it failed for another reason.
        HubServiceError: the service asked for more patience than there is.
    """
    waited, pause, tries = 0.0, _FIRST_PAUSE_SECONDS, 0
    while True:
        tries += 1
        try:
            return api.attempt(doing, function, *args, **named)
        except CallFailed as failed:
            if not failed.failure.is_rate_limit:
                raise
            asked = retry_after(api.account)
            pause = pause if asked is None else asked
            if waited + pause > MOST_SECONDS or tries == _MOST_TRIES:
                raise too_long(failed.failure, pause) from failed.failure.raised
            _wait(console, pause)
            waited, pause = waited + pause, min(pause * 2, _LONGEST_PAUSE_SECONDS)


def too_long(failure: Failure, pause: float) -> HubServiceError:
    """The service asks for a longer pause than a command waits."""
    wanted = f"It wants a pause of {duration(pause)}; {duration(MOST_SECONDS)} are waited in all."
    return HubServiceError(
        f"Can't {failure.doing}: AI Hub asks for fewer requests",
        why=f"{wanted} {failure.text}".strip(),
        hint=f"Run the command again in {duration(max(pause, 60.0))}: what was uploaded and submitted is found again.",
    )


def _wait(console: Console, seconds: float) -> None:
    console.say(f"AI Hub asks for fewer requests: trying again in {duration(seconds)}")
    time.sleep(seconds)


def retry_after(account: Configuration) -> float | None:
    """The pause that the service asks for just now, in seconds; None where it asks for none.

    The client swallows the header that says it: so a small request of our own asks.
    """
    import requests  # noqa: PLC0415 (comes with the extra)

    try:
        return _pause_of(_ask_for_account(account))
    except requests.exceptions.RequestException:
        return None


def _pause_of(answer: Any) -> float | None:
    text = answer.headers.get("Retry-After", "") if answer.status_code in (429, 503) else ""
    if not text.isdecimal():
        return None
    least, most = _ASKED_SECONDS
    return min(max(float(text), least), most)


def check_account(api: Api, console: Console) -> None:
    """Makes sure that the service answers and knows the token, before anything is built for it.

    Raises:
        HubAccountError: it doesn't know it, or wants a newer client.
        HubServiceError: it doesn't answer, or asks for a long pause.
    """
    doing, waited, tries = "ask AI Hub for the account", 0.0, 0
    while (pause := _pause_of(answer := _answer(api, doing))) is not None:
        tries += 1
        if waited + pause > MOST_SECONDS or tries == _MOST_TRIES:
            raise too_long(Failure(RuntimeError(""), doing, api.account), pause)
        _wait(console, pause)
        waited += pause
    if answer.status_code != HTTPStatus.OK or answer.headers.get("Content-Type") != _MESSAGE:
        # The client asks again where that may help, and says why not.
        api.call(doing, api.rest.get_auth_user, api.config)
    elif not answer.content:
        raise Failure(api.rest.APIException(None, answer.status_code), doing, api.account).error()


def _answer(api: Api, doing: str) -> Any:
    """The service's first answer; the client would try for most of a minute before it says that there is none."""
    import requests  # noqa: PLC0415

    for pause in _RECONNECTING_SECONDS:
        try:
            return _ask_for_account(api.account)
        except requests.exceptions.RequestException:
            time.sleep(pause)
    try:
        return _ask_for_account(api.account)
    except requests.exceptions.RequestException as raised:
        raise Failure(raised, doing, api.account).error() from raised


def _ask_for_account(account: Configuration) -> Any:
    import requests  # noqa: PLC0415

    return requests.get(
        f"{account.api_url.rstrip('/')}/api/v1/users/auth/user/",
        headers={"Authorization": f"token {account.token.reveal()}", "Client-Version": client_version()},
        timeout=_ANSWER_SECONDS,
    )
