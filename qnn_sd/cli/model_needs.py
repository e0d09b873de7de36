"""What a model takes on this machine, for the doctor: also of one that isn't downloaded yet."""

from __future__ import annotations

from dataclasses import replace

from qnn_sd.artifact_manifest import Work
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.forecast import Afterwards, Build, Forecast, forecast_of
from qnn_sd.cli.options import DEFAULT_SOC
from qnn_sd.config import DEMO_MODEL, load_model, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import CheckpointError
from qnn_sd.estimates.figures import load_figures
from qnn_sd.export.checkpoint import Sources
from qnn_sd.model_checks import ModelNeeds
from qnn_sd.pipeline.artifact_store import PlannedStage


def model_needs(request: BuildRequest, console: Console) -> ModelNeeds:
    """What compiling a model takes, and an image on the CPU.

    Raises:
        CheckpointError: there is no such checkpoint, or it isn't downloaded and no figures of it are shipped.
    """
    profile = load_profile(DEFAULT_SOC)
    remark = ""
    try:
        pipeline = replace(request, dry_run=True).pipeline(console)
    except CheckpointError:
        model, demo = request.model, load_model(DEMO_MODEL)
        if request.sources != Sources() or model is None or model.name not in load_figures().models:
            raise
        # Its plan is the demo's but for the size of its networks.
        like_the_demo = model.model_copy(update={"checkpoint": demo.checkpoint, "architecture": demo.architecture})
        pipeline = replace(request, dry_run=True, model=like_the_demo).pipeline(console)
        remark = "; the checkpoint isn't downloaded yet, which takes more"

    def expected(build: Build, afterwards: list[Afterwards]) -> Forecast:
        plan = pipeline.planned(build)
        if remark:
            plan = [_resized(each, pipeline.model.name) for each in plan]
            afterwards = [(stage, _of_size(work, pipeline.model.name)) for stage, work in afterwards]
        return forecast_of(plan, afterwards)

    compiled = expected(lambda planned: planned.build_bundle(profile), [])
    image = ("generate", pipeline.image_work("float"))
    on_cpu = expected(lambda planned: planned.build_cpu_bundle("float"), [image])
    return ModelNeeds(
        seconds=compiled.build_seconds,
        image_seconds=on_cpu.seconds,
        memory=compiled.memory,
        image_memory=on_cpu.memory,
        disk=compiled.disk,
        kept=compiled.kept,
        cores=compiled.cores,
        remark=remark,
    )


def _resized(planned: PlannedStage, model: str) -> PlannedStage:
    return replace(planned, work=_of_size(planned.work, model), cached=False, last_seconds=None)


def _of_size(work: Work, model: str) -> Work:
    """The same work on networks of the size that a model's figures are of."""
    known = load_figures().models[model].parameters
    return work.model_copy(update={"parameters": {name: known[name] for name in work.parameters}})
