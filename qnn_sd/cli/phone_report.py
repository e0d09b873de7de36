"""What ``qnn-sd doctor --phone`` puts together: the stages for the examination, the report and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qnn_sd import __version__, artifact, resources
from qnn_sd.build import PICTURE_COMPONENTS, Road
from qnn_sd.bundle_format import OpenBundle
from qnn_sd.cli.building import Building
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.export.checkpoint import Sources
from qnn_sd.generate import Request, TextToImage
from qnn_sd.generate.png import save_png
from qnn_sd.health import Finding
from qnn_sd.runner import Runner
from qnn_sd.targets.adb.examination import (
    Examination,
    Findings,
    Means,
    Painted,
    Privacy,
    Step,
    Subject,
    document,
    markdown,
)

# With the demo model already five steps give a green square, so that a person sees whether it came out. Not more: the
# emulator paints it too, and each call says as much about a phone as the next.
PROMPT, SEED, STEPS = "a big green square on white", 1, 5


def examine_phone(
    building: Building,
    serial: str | None,
    soc: str | None,
    console: Console,
    privacy: Privacy,
) -> Findings:
    """Tries every step on a phone; a line on stderr tells of each as soon as it is over.

    Without a serial the only phone is meant.
    """
    road: Road | None = None

    def bundle(profile: DeviceProfile) -> tuple[OpenBundle, bool]:
        nonlocal road
        road = building.road(console)
        made = road.bundle_for(profile, PICTURE_COMPONENTS)
        return made, not all(report.cached for report in road.reports)

    def paint(runner: Runner, made: OpenBundle) -> Painted:
        assert road is not None  # it made the bundle
        # The checkpoint may have settled what the config left open.
        config = road.model
        request = Request(PROMPT, "", STEPS, config.guidance, config.scheduler, SEED)
        with console.progress(f"painting on {runner.target}", STEPS) as bar:
            result = TextToImage(runner, made.info, made.tokenizer).generate(request, lambda _seconds: bar.advance())
        return Painted(result.pictures[0], {name: (usage.calls, usage.seconds) for name, usage in result.usage.items()})

    def tell(step: Step) -> None:
        console.say(f"{step.status:<7} {step.name}: {step.found}")

    subject = Subject(serial, soc, PICTURE_COMPONENTS, building.cache or resources.cache())
    return Examination(Means(bundle, paint), subject, console, privacy, tell).run()


def private_names(building: Building, output: Path | None) -> Privacy:
    """Everything of this user that the report may not name."""
    privacy, sources = Privacy(), building.sources
    privacy.hide_path(building.cache or resources.cache(), "CACHE")
    privacy.hide_path(Path.cwd(), "FOLDER")
    if output is not None:
        privacy.hide_path(output.parent, "FOLDER")
    given = [sources.checkpoint, sources.vae, sources.tokenizer, *(path for path, _scale in sources.loras)]
    for each in [*given, *(path for _name, path in sources.embeddings)]:
        if each is not None:
            path = Path(each)
            privacy.hide_path(path, "SOURCE")
            # What is made from a file bears its name.
            privacy.hide(path.name, "SOURCE")
            privacy.hide(path.stem, "SOURCE")
    for given_file in (building.encodings, building.prompts):
        if given_file is not None:
            privacy.hide_path(given_file, "GIVEN")
            privacy.hide(given_file.name, "GIVEN")
    for name, _path in sources.embeddings:
        privacy.hide(name or "", "SOURCE")
    return privacy


def make_document(
    findings: Findings, machine: list[Finding], building: Building, soc: str | None, privacy: Privacy
) -> Any:
    """The report for machines."""
    settings = {
        "model": building.model.name,
        "width": building.model.width,
        "height": building.model.height,
        "own_checkpoint": building.sources != Sources(),
        "soc": soc,
        "prompt": PROMPT,
        "seed": SEED,
        "steps": STEPS,
    }
    return document(findings, machine, settings, privacy)


def write_report(output: Path, told: Any, findings: Findings) -> list[Path]:
    """Writes the page, and the phone's picture beside it; returns what was written.

    Raises:
        OutputError: one can't be written; an earlier one stays as it was.
    """
    written = []
    name = None
    if findings.picture is not None:
        path = output.with_suffix(".png")
        save_png(path, findings.picture, {"prompt": PROMPT, "seed": SEED, "software": f"qnn-sd {__version__}"})
        written.append(path)
        name = path.name
    with artifact.written_aside(output) as aside:
        aside.write_text(markdown(told, name), "utf-8")
    return [output, *written]
