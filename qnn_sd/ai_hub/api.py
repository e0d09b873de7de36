"""Calls of AI Hub's client: quiet, and with errors to act on."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from qnn_sd.ai_hub.configuration import Configuration
from qnn_sd.ai_hub.service_errors import Failure

_Result = TypeVar("_Result")


class CallFailed(Exception):
    """A call of the client that failed; whoever called decides what follows.

    Args:
        failure: what happened.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.doing)
        self.failure = failure


class Api:
    """AI Hub's client with one account.

    Args:
        account: whose.

    Attributes:
        account: whose.
        client: ``qai_hub.Client``.
        rest: ``qai_hub.public_rest_api``, for what the client leaves out: failure types, unfinished uploads.
        config: what the functions of ``rest`` take first.
    """

    def __init__(self, account: Configuration) -> None:
        # The extra may not be installed: ``client_package.require_client`` comes first.
        import qai_hub  # noqa: PLC0415
        from qai_hub import public_rest_api  # noqa: PLC0415

        class QuietConfig(qai_hub.ClientConfig):
            """Its own shows the token."""

            def __repr__(self) -> str:
                return f"ClientConfig({account.api_url})"

        self.account = account
        self.config = QuietConfig(
            api_token=account.token.reveal(),
            api_url=account.api_url,
            web_url=account.web_url,
            verbose=False,
            default_project=account.project,
        )
        self.client = qai_hub.Client(config=self.config)
        self.rest: Any = public_rest_api

    def attempt(self, doing: str, function: Callable[..., _Result], *args: Any, **named: Any) -> _Result:
        """One call; the client prints to stdout, which is for results.

        Args:
            doing: what is tried, after "can't": ``upload unet to AI Hub``.
            function: of the client or of ``rest``.
            args: its own.
            named: likewise.

        Raises:
            CallFailed: it failed.
        """
        try:
            with contextlib.redirect_stdout(io.StringIO()), _quiet_log():
                return function(*args, **named)
        except Exception as raised:  # AI Hub's client raises whatever its own packages do
            raise CallFailed(Failure(raised, doing, self.account)) from raised

    def call(self, doing: str, function: Callable[..., _Result], *args: Any, **named: Any) -> _Result:
        """As ``attempt``, for what nobody tries again.

        Raises:
            QnnSdError: it failed.
        """
        try:
            return self.attempt(doing, function, *args, **named)
        except CallFailed as failed:
            raise failed.failure.error() from failed.failure.raised

    def job_url(self, job_id: str) -> str:
        """The page of a job."""
        return f"{self.account.web_url.rstrip('/')}/jobs/{job_id}/"


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """What the client's packages log names addresses whose signature gives access, and concerns their authors."""
    manager = logging.root.manager
    level = manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
