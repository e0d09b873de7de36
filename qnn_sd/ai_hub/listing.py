"""What an account has at AI Hub, page by page: how things are found again by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from qnn_sd.ai_hub.api import Api

_PAGE = 50
# The clocks of two machines, and a request that was on its way for long.
_CLOCK_MARGIN_SECONDS = 24 * 3600.0
# How far back to look for what nobody here remembers.
_UNREMEMBERED = 500


@dataclass(frozen=True)
class Listed:
    """Something that an account has.

    Attributes:
        id: at AI Hub.
        name: there.
        at: when it was made, seconds since the epoch.
        is_whole: whether all of it was uploaded; of jobs whether it hasn't failed.
    """

    id: str
    name: str
    at: float
    is_whole: bool


def jobs_named(api: Api, name: str, since: float | None) -> list[Listed]:
    """The account's jobs of a name that haven't failed, oldest first.

    Args:
        api: of the account.
        name: at AI Hub.
        since: none is older, seconds since the epoch; None where nobody knows.
    """
    from qai_hub import public_api_pb2 as messages  # noqa: PLC0415

    def read(page: Any) -> list[Listed]:
        summaries = [getattr(each, each.WhichOneof("job")) for each in page.job_summaries if each.WhichOneof("job")]
        failed = messages.JobState.JOB_STATE_FAILED
        listed = [_listed(getattr(each, "job_id", ""), each, each.job_state != failed) for each in summaries]
        # A kind of job that this client doesn't know still counts for the page.
        return listed + [Listed("", "", 0.0, False)] * (len(page.job_summaries) - len(listed))

    found = _named(api, "list the account's jobs at AI Hub", api.rest.get_job_summary_list, read, name, since)
    return [each for each in found if each.is_whole]


def models_named(api: Api, name: str, since: float | None) -> list[Listed]:
    """The account's models of a name, oldest first, whole or not."""

    def read(page: Any) -> list[Listed]:
        return [_listed(each.model_id, each, each.file_upload_complete) for each in page.models]

    return _named(api, "list the account's models at AI Hub", api.rest.get_model_list, read, name, since)


def datasets_named(api: Api, name: str, since: float | None) -> list[Listed]:
    """The account's datasets of a name, oldest first, whole or not."""

    def read(page: Any) -> list[Listed]:
        return [_listed(each.dataset_id, each, each.file_upload_complete) for each in page.datasets]

    return _named(api, "list the account's datasets at AI Hub", api.rest.get_dataset_list, read, name, since)


def _listed(identifier: str, message: Any, is_whole: bool) -> Listed:
    return Listed(identifier, message.name, message.creation_time.seconds, is_whole)


def _named(
    api: Api,
    doing: str,
    list_page: Callable[..., Any],
    read: Callable[[Any], list[Listed]],
    name: str,
    since: float | None,
) -> list[Listed]:
    pages = _pages(api, doing, list_page, read, since)
    found = [*{each.id: each for page in pages for each in page if each.name == name and each.id}.values()]
    # Times are whole seconds: within one, what is listed last was first.
    found.reverse()
    found.sort(key=lambda each: each.at)
    return found


def _pages(
    api: Api, doing: str, list_page: Callable[..., Any], read: Callable[[Any], list[Listed]], since: float | None
) -> Iterator[list[Listed]]:
    offset = 0
    while True:
        page = read(api.call(doing, list_page, api.config, offset=offset, limit=_PAGE))
        if not page:
            return
        yield page
        offset += len(page)
        # Newest first: nothing beyond is younger.
        known = [each.at for each in page if each.id]
        if since is not None and known and max(known) < since - _CLOCK_MARGIN_SECONDS:
            return
        if since is None and offset >= _UNREMEMBERED:
            return
