"""``qnn-sd verify --hub DEVICE``: a build's components on real silicon, compared with what is computed here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from qnn_sd import __version__, qnn_provider, resources
from qnn_sd.ai_hub import HubService
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.documents import ErrorDetail, VerifyHubDocument
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.options import refuse_bad_output
from qnn_sd.cli.phone_report import private_names
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import image_size
from qnn_sd.cli.upload_consent import Upload, require_consent
from qnn_sd.cli.verify_hub_answers import answers_of
from qnn_sd.cli.verify_hub_judgement import Judged, judge
from qnn_sd.cli.verify_hub_options import HubRequest
from qnn_sd.cli.verify_hub_page import write_hub_page
from qnn_sd.cli.verify_hub_report import show_device
from qnn_sd.cli.verify_hub_targets import components_of_build, open_targets
from qnn_sd.console import Console
from qnn_sd.export.checkpoint import Sources
from qnn_sd.pipeline import BuildPipeline


def run_hub_verification(
    request: HubRequest, report: Path | None, build_request: BuildRequest, console: Console
) -> None:
    """Builds what isn't there, runs it on each device, and compares.

    Raises:
        HubAccountError: there is no account, or its client can't be used.
        HubServiceError: the service can't be reached, or takes no more.
        HubDeviceError: a device isn't there, or has another HTP than the binaries.
        HubJobError: a job failed, or its outputs aren't the component's.
        HubDeadlineError: a job takes too long; it goes on, and the same command finds it.
        UploadNotAllowedError: a user's checkpoint may not be uploaded.
        VerificationError: a device computes something else than the QDQ graph says.
    """
    if report is not None:
        refuse_bad_output(report, ".md", "The report is Markdown.")
    cache = build_request.cache or resources.cache()
    service = HubService.open(cache, console)
    targets = open_targets(service, request.devices, request.soc, console)
    profiles = list({each.profile.soc: each.profile for each in targets}.values())
    pipeline = build_request.pipeline(console)

    def build(planned: BuildPipeline) -> object:
        return [planned.verify(request.components, each) for each in profiles]

    if build_request.dry_run:
        show_plan(console, pipeline, build)
        return
    upload = Upload(pipeline.identity, "context binaries", request.components, "recorded inputs")
    require_consent(service, upload, request.allow_upload, console)
    if service.is_stand_in and request.emulator:
        console.say("the stand-in's jobs run on the emulator, too: --no-emulator halves the time")
    announce(pipeline, build, console, build_request)
    build(pipeline)
    console.kept.build_is_whole()
    built = {each.soc: components_of_build(pipeline, each, request.components) for each in profiles}
    answers = answers_of(targets, built, request, service, cache, console)
    judged = [
        judge(target, built[target.profile.soc], answers, request, service.is_stand_in, reported=report is not None)
        for target in targets
    ]
    for each in judged:
        show_device(console, each.verified)
    document = _document(pipeline, build_request, judged, report)
    if report is not None:
        write_hub_page(report, document, private_names(build_request, report))
        console.result(str(report))
    console.document(document)
    for each in judged:
        if each.refusal is not None:
            raise each.refusal


def _document(
    pipeline: BuildPipeline, build_request: BuildRequest, judged: list[Judged], report: Path | None
) -> VerifyHubDocument:
    refusals = [each.refusal for each in judged if each.refusal is not None]
    return VerifyHubDocument(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=pipeline.model.name,
        size=image_size(pipeline.model),
        own_checkpoint=build_request.sources != Sources(),
        verdict="refused" if refusals else "passed",
        stand_in=any(each.verified.stand_in for each in judged),
        devices=[each.verified for each in judged],
        versions={"qnn-sd": __version__, **qnn_provider.versions()},
        file=None if report is None else str(report),
        error=ErrorDetail.of(refusals[0]) if refusals else None,
    )
