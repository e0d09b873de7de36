"""How the stand-in says no: to a request, and as the end of a job."""

from __future__ import annotations

from typing import Any

from qai_hub import public_api_pb2 as api


class RequestRefused(Exception):
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        text: that the client shows.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class JobFailed(Exception):
    """A job that ends badly.

    Args:
        failure_type: of the client's ``JobFailureType``.
        reason: in one line, that the client shows.
        details: further lines of its log.
    """

    def __init__(self, failure_type: Any, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.failure_type, self.reason, self.details = failure_type, reason, details


def failure_name(failure_type: int) -> str:
    """What a failure type is called, such as ``RUNTIME_DEVICE_OOM``."""
    try:
        return str(api.JobFailureType.Name(failure_type)).removeprefix("JOB_FAILURE_TYPE_")
    except ValueError:
        return str(failure_type)
