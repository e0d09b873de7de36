"""``qnn-sd hub jobs``: what this machine has submitted to AI Hub."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from qnn_sd import resources
from qnn_sd.ai_hub import HubService
from qnn_sd.ai_hub.job_states import GONE
from qnn_sd.ai_hub.journal import JobEntry
from qnn_sd.cli.docs import AI_HUB
from qnn_sd.cli.documents import HubJobsDocument
from qnn_sd.cli.documents.hub import HubJobEntry
from qnn_sd.cli.help import HelpCommand
from qnn_sd.cli.options import cache_option, output_options
from qnn_sd.cli.profile_document import STAND_IN_NOTE
from qnn_sd.console import Console

NOTHING_SUBMITTED = 'Nothing was submitted yet. qnn-sd profile --hub "Samsung Galaxy S24" submits the first ones.'
_UNANSWERED = "never answered: the same command looks for it"


@click.command(
    "jobs",
    cls=HelpCommand,
    examples=(
        ("List the jobs that were submitted from here", "qnn-sd hub jobs"),
        ("List them for a script", "qnn-sd hub jobs --json"),
    ),
    docs_page=AI_HUB,
)
@cache_option
@output_options
def jobs_command(cache: Path | None, console: Console) -> None:
    """List the jobs that were submitted to AI Hub from this cache, newest first, with their links."""
    service = HubService.open(cache or resources.cache(), console)
    entries = [entry_of(service, each, state_in_words(service, each)) for each in service.journal.jobs()]
    show_jobs(console, service, entries)
    if not entries:
        console.result(NOTHING_SUBMITTED)
    console.document(HubJobsDocument(stand_in=service.is_stand_in, jobs=entries))


def state_in_words(service: HubService, entry: JobEntry) -> str:
    """A job's state: asked for where it may have changed.

    Raises:
        HubServiceError: the service or network failed.
    """
    if entry.id is None:
        return _UNANSWERED
    if entry.is_gone:
        return GONE
    return entry.state if entry.state != "submitted" else service.state(service.job_of(entry)).in_words


def entry_of(service: HubService, entry: JobEntry, state: str) -> HubJobEntry:
    """A job as documents have it.

    Args:
        service: the account.
        entry: of its journal.
        state: in words.
    """
    known = service.journal.job(entry.key) or entry
    return HubJobEntry(
        made_at=datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds"),
        kind=entry.kind,
        label=entry.label,
        cloud_device=entry.device,
        job=entry.id,
        state=state,
        failure_type=known.failure_type,
        url=None if entry.id is None else service.job_of(entry).url,
    )


def show_jobs(console: Console, service: HubService, entries: Sequence[HubJobEntry]) -> None:
    """The table."""
    if not entries:
        return
    if service.is_stand_in:
        console.result(STAND_IN_NOTE)
    console.table(["when", "what", "device", "state", "job"], [_row(each) for each in entries])


def _row(each: HubJobEntry) -> list[object]:
    when = datetime.fromisoformat(each.made_at).astimezone().strftime("%Y-%m-%d %H:%M")
    failed = f"{each.state} ({each.failure_type})" if each.failure_type else each.state
    return [when, f"{each.kind} {each.label}", each.cloud_device, failed, each.url or "-"]
