"""The report of ``qnn-sd verify``: figures, images side by side, time, memory and versions; nothing private."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx

from qnn_sd import __version__, output_files, qnn_provider
from qnn_sd.cli.documents import ErrorDetail, VerificationReport
from qnn_sd.cli.documents.verify import (
    BuiltStage,
    ImageRequest,
    ReportMachine,
    VerifiedModel,
)
from qnn_sd.cli.image_comparison import Comparison
from qnn_sd.cli.plan import component_and_subject
from qnn_sd.cli.redacted import redacted
from qnn_sd.cli.stage_output import image_size
from qnn_sd.cli.verification_page import report_page
from qnn_sd.cli.verified_build import Refusal
from qnn_sd.config import DeviceProfile
from qnn_sd.estimates import Machine, estimate
from qnn_sd.generate import Request
from qnn_sd.generate.png import save_png
from qnn_sd.pipeline import COMPONENTS, BuildPipeline
from qnn_sd.pipeline.artifact_store import StageReport
from qnn_sd.targets.adb.diagnostics import Privacy
from qnn_sd.verification import (
    ComponentVerification,
)


def write_verification_report(
    output: Path,
    pipeline: BuildPipeline,
    profile: DeviceProfile,
    verified: Mapping[str, ComponentVerification],
    comparison: Comparison | None,
    refused: Refusal | None,
    privacy: Privacy,
    own_checkpoint: bool,
) -> list[Path]:
    """Writes the page, and the images beside it; returns what was written.

    Raises:
        OutputError: one can't be written; an earlier one stays as it was.
    """
    written = []
    path = output.with_suffix(".png")
    if comparison is None:
        path.unlink(missing_ok=True)  # of an earlier report: it would be taken for this one's
    else:
        save_png(path, comparison.sheet, {"forms": ", ".join(comparison.images), "software": f"qnn-sd {__version__}"})
        written.append(path)
    told = redacted(verification_document(pipeline, profile, verified, comparison, refused, own_checkpoint), privacy)
    with output_files.written_aside(output) as aside:
        aside.write_text(report_page(told, written[0].name if written else None), "utf-8")
    return [output, *written]


def verification_document(
    pipeline: BuildPipeline,
    profile: DeviceProfile,
    verified: Mapping[str, ComponentVerification],
    comparison: Comparison | None,
    refused: Refusal | None,
    own_checkpoint: bool,
) -> VerificationReport:
    """What the report holds.

    Args:
        pipeline: that built.
        profile: the binaries' SoC.
        verified: what was measured, by component.
        comparison: one prompt's images; None where a gate refused.
        refused: why there is no bundle.
        own_checkpoint: whether another checkpoint than the config's was built.
    """
    model = pipeline.model
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return VerificationReport(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=VerifiedModel(
            config=model.name,
            size=image_size(model),
            guidance=model.guidance,
            own_checkpoint=own_checkpoint,
            rounding=pipeline.rounding,
            encodings_from_file=sorted(pipeline.encodings),
        ),
        verdict="refused" if refused else "passed with warnings" if pipeline.warnings else "passed",
        warnings=pipeline.warnings,
        soc=profile.soc,
        components={name: verified[name] for name in COMPONENTS if name in verified},
        images=None if comparison is None else comparison.document,
        request=None if comparison is None else image_request(comparison.request),
        stages=[_stage(each, model.name) for each in pipeline.reports],
        peak_memory_bytes=peak * 1024,
        machine=ReportMachine(
            system=platform.system(),
            machine=platform.machine(),
            cores=len(os.sched_getaffinity(0)),
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        ),
        versions={
            "python": platform.python_version(),
            "qnn-sd": __version__,
            **qnn_provider.versions(),
            "onnx": onnx.__version__,
            "numpy": np.__version__,
        },
        error=None if refused is None else ErrorDetail.of(refused),
    )


def image_request(request: Request) -> ImageRequest:
    """What an image was asked for with."""
    return ImageRequest(
        prompt=request.prompt,
        negative=request.negative,
        steps=request.steps,
        guidance=request.guidance,
        scheduler=request.scheduler,
        seed=request.seed,
    )


def _stage(report: StageReport, model: str) -> BuiltStage:
    component, subject = component_and_subject(report, model)
    return BuiltStage(
        stage=report.stage,
        component=component,
        subject=subject,
        seconds=round(report.seconds, 1),
        cached=report.cached,
        expected_memory_bytes=_expected_memory(report),
    )


def _expected_memory(report: StageReport) -> int | None:
    if report.work is None:
        return None
    cores = len(os.sched_getaffinity(0))
    return round(estimate(report.stage, report.work, Machine(cores, 1.0, cores)).memory)
