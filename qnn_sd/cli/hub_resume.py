"""``qnn-sd hub resume``: waits for jobs that hadn't ended when a command was stopped, and keeps their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from qnn_sd import resources
from qnn_sd.ai_hub import HubJob, HubService
from qnn_sd.ai_hub.journal import JobEntry
from qnn_sd.cli.docs import AI_HUB
from qnn_sd.cli.documents import ErrorDetail, HubProfileDocument, HubResumeDocument
from qnn_sd.cli.help import MEASUREMENT, HelpCommand
from qnn_sd.cli.hub_jobs import NOTHING_SUBMITTED, entry_of, show_jobs, state_in_words
from qnn_sd.cli.options import cache_option, deadline_option, output_options
from qnn_sd.cli.profile_document import profile_document
from qnn_sd.cli.profile_facts import ProfileFacts, facts_from
from qnn_sd.cli.profile_jobs import SubmittedJobs, results_of
from qnn_sd.cli.profile_report import show
from qnn_sd.cli.profile_results import keep
from qnn_sd.console import Console
from qnn_sd.errors import HubDeadlineError, HubJobError, QnnSdError, SettingError

_NONE_LEFT = "No job is left: all that were submitted from here have ended."


@click.command(
    "resume",
    cls=HelpCommand,
    examples=(
        ("Wait for all jobs that haven't ended, and show what they measured", "qnn-sd hub resume"),
        ("Wait for one job", "qnn-sd hub resume jabc12345"),
    ),
    docs_page=AI_HUB,
)
@click.argument("identifiers", metavar="[ID]...", nargs=-1)
@deadline_option(MEASUREMENT, "How long to wait.")
@cache_option
@output_options
def resume_command(identifiers: tuple[str, ...], deadline: float, cache: Path | None, console: Console) -> None:
    """Wait for jobs that were submitted and hadn't ended, show what they measured, and keep it with the build.

    Results of other commands than profile are taken up by that command itself, typed again: it finds its jobs.
    """
    folder = cache or resources.cache()
    service = HubService.open(folder, console)
    entries = _chosen(service, identifiers)
    service.expect([service.job_of(each) for each in entries if each.state == "submitted"])
    if unanswered := [each for each in service.journal.jobs() if each.id is None]:
        labels = ", ".join(f"{each.kind} {each.label} on {each.device}" for each in unanswered)
        console.say(f"never answered: {labels}. Type its command again: it looks for the job before it submits one")
    submitted = _by_build(service, entries)
    error = _wait_for_others(service, entries, deadline * 60, console)
    profiles: list[HubProfileDocument] = []
    if submitted:
        found, end = results_of(service, submitted, deadline * 60, folder, console)
        error = error or end
        profiles = [profile_document([each], service.is_stand_in, None) for each in found]
    for document in profiles:
        keep(document, folder)
        show(console, document)
    told = [entry_of(service, each, state_in_words(service, service.journal.job(each.key) or each)) for each in entries]
    show_jobs(console, service, told)
    if not entries:
        submitted_any = bool(service.journal.jobs())
        console.result(_NONE_LEFT if submitted_any else NOTHING_SUBMITTED)
    console.document(
        HubResumeDocument(
            stand_in=service.is_stand_in,
            jobs=told,
            profiles=profiles,
            error=None if error is None else ErrorDetail.of(error),
        )
    )
    if error is not None:
        raise error


def _chosen(service: HubService, identifiers: Sequence[str]) -> list[JobEntry]:
    """Those that were named, or all that haven't ended.

    Raises:
        SettingError: none has such an identifier.
    """
    entries = service.journal.jobs()
    if not identifiers:
        return [each for each in entries if each.state == "submitted" and each.id is not None]
    known = {each.id: each for each in entries if each.id is not None}
    for each in identifiers:
        if each not in known:
            raise SettingError(
                f"No job {each!r} was submitted from this cache", hint="qnn-sd hub jobs lists those that were."
            )
    return [known[each] for each in dict.fromkeys(identifiers)]


def _by_build(service: HubService, entries: Sequence[JobEntry]) -> list[SubmittedJobs]:
    """The profile's jobs by build and device, with those of the same build that have ended: an image needs all."""
    wanted = list(dict.fromkeys(found[0] for each in entries if (found := facts_from(each))))
    jobs: dict[ProfileFacts, dict[str, tuple[HubJob, str]]] = {facts: {} for facts in wanted}
    # Those that were meant come before others of the same build.
    for each in [*entries, *(other for other in service.journal.jobs() if not other.is_gone)]:
        found = facts_from(each)
        if found and each.id is not None and found[0] in jobs:
            facts, component, sha256 = found
            jobs[facts].setdefault(component, (service.job_of(each), sha256))
    return [SubmittedJobs(facts, dict(sorted(each.items()))) for facts, each in jobs.items()]


def _wait_for_others(
    service: HubService, entries: Sequence[JobEntry], deadline_s: float, console: Console
) -> QnnSdError | None:
    """Jobs of other commands: they are waited for, and their command takes the results."""
    others = [service.job_of(each) for each in entries if facts_from(each) is None]
    if not others:
        return None
    console.say(f"{len(others)} of another command: type it again for the results, it finds its jobs")
    try:
        service.wait(others, deadline_s)
    except (HubJobError, HubDeadlineError) as error:
        return error
    return None
