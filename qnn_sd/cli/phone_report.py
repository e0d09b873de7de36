"""What ``qnn-sd doctor --phone`` puts together: the stages for the examination, the report and its image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qnn_sd import __version__, output_files, resources
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.documents import PhoneReport
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.stage_output import image_size
from qnn_sd.config import DeviceProfile, ModelConfig
from qnn_sd.console import Console
from qnn_sd.export.checkpoint import Sources
from qnn_sd.generate import Request, TextToImage
from qnn_sd.generate.png import save_png
from qnn_sd.health_checks import CheckResult
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.runner import Runner
from qnn_sd.shown_runner import ShownRunner
from qnn_sd.targets.adb.diagnostics import (
    DiagnosticsContext,
    DiagnosticsRequest,
    Findings,
    GeneratedImage,
    PhoneDiagnostics,
    Privacy,
    Step,
    document,
    markdown,
)

# With the demo model already five steps give a green square, so that a person sees whether it came out. Not more: the
# emulator generates it too, and each call says as much about a phone as the next.
PROMPT, SEED, STEPS = "a big green square on white", 1, 5


def diagnose_phone(
    build_request: BuildRequest,
    serial: str | None,
    soc: str | None,
    console: Console,
    privacy: Privacy,
) -> tuple[Findings, ModelConfig | None]:
    """Tries every step on a phone; a line on stderr tells of each as soon as it is over.

    Without a serial the only phone is meant.

    Returns:
        What was found, and the model config; None where the checkpoint should decide it and wasn't reached.
    """
    build_request.announce(console)
    pipeline: BuildPipeline | None = None

    def bundle(profile: DeviceProfile) -> tuple[OpenBundle, bool]:
        nonlocal pipeline
        pipeline = build_request.pipeline(console)
        announce(
            pipeline,
            lambda planned: planned.build_bundle(profile, TEXT_TO_IMAGE_COMPONENTS),
            console,
            build_request,
            asks=False,
        )
        made = pipeline.bundle(profile, TEXT_TO_IMAGE_COMPONENTS)
        return made, not all(report.cached for report in pipeline.reports)

    def generate(runner: Runner, made: OpenBundle) -> GeneratedImage:
        assert pipeline is not None  # it made the bundle
        # The checkpoint may have settled what the config left open.
        config = pipeline.model
        request = Request(PROMPT, "", STEPS, config.guidance, config.scheduler, SEED)
        with console.progress(f"generating on {runner.target}", STEPS) as bar:
            result = TextToImage(ShownRunner(runner, bar.doing), made.info, made.tokenizer).generate(
                request, lambda _seconds: bar.advance()
            )
        return GeneratedImage(
            result.images[0], {name: (usage.calls, usage.seconds) for name, usage in result.usage.items()}
        )

    def tell(step: Step) -> None:
        console.say(f"{step.status:<7} {step.name}: {step.found}")

    subject = DiagnosticsRequest(serial, soc, TEXT_TO_IMAGE_COMPONENTS, build_request.cache or resources.cache())
    findings = PhoneDiagnostics(DiagnosticsContext(bundle, generate), subject, console, privacy, tell).run()
    return findings, build_request.sized_model if pipeline is None else pipeline.model


def private_names(build_request: BuildRequest, output: Path | None) -> Privacy:
    """Everything of this user that the report may not name."""
    privacy, sources = Privacy(), build_request.sources
    privacy.hide_path(build_request.cache or resources.cache(), "CACHE")
    privacy.hide_path(Path.cwd(), "FOLDER")
    if output is not None:
        privacy.hide_path(output.parent, "FOLDER")
    given = [sources.checkpoint, sources.vae, sources.text_encoder, sources.tokenizer]
    given += [*(path for path, _scale in sources.loras), *(path for _name, path in sources.embeddings)]
    for each in given:
        if each is not None:
            path = Path(each)
            privacy.hide_path(path, "SOURCE")
            # What is made from a file bears its name.
            privacy.hide(path.name, "SOURCE")
            privacy.hide(path.stem, "SOURCE")
    for given_file in (build_request.encodings, build_request.prompts):
        if given_file is not None:
            privacy.hide_path(given_file, "GIVEN")
            privacy.hide(given_file.name, "GIVEN")
    for name, _path in sources.embeddings:
        privacy.hide(name or "", "SOURCE")
    return privacy


def make_document(
    findings: Findings,
    machine: list[CheckResult],
    sources: Sources,
    model: ModelConfig | None,
    soc: str | None,
    privacy: Privacy,
) -> PhoneReport:
    """What the report holds for programs."""
    settings = {
        "model": None if model is None else model.name,
        "size": None if model is None else image_size(model).model_dump(),
        "own_checkpoint": sources != Sources(),
        "soc": soc,
        "prompt": PROMPT,
        "seed": SEED,
        "steps": STEPS,
    }
    return PhoneReport.model_validate(document(findings, machine, settings, privacy))


def write_report(output: Path, told: Mapping[str, Any], findings: Findings) -> list[Path]:
    """Writes the page, and the phone's image beside it; returns what was written.

    Raises:
        OutputError: one can't be written; an earlier one stays as it was.
    """
    written = []
    name = None
    if findings.image is not None:
        path = output.with_suffix(".png")
        save_png(path, findings.image, {"prompt": PROMPT, "seed": SEED, "software": f"qnn-sd {__version__}"})
        written.append(path)
        name = path.name
    with output_files.written_aside(output) as aside:
        aside.write_text(markdown(told, name), "utf-8")
    return [output, *written]
