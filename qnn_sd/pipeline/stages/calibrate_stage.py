"""float ONNX → recorded inputs: what each component is fed along real generations.

Three recordings with prompts and noise of their own: to calibrate, to judge (held out), to verify.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qnn_sd import resources
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.config import RecordedConfig, VerificationConfig
from qnn_sd.generate import Request, TextToImage, Tokens, tokenizer_of
from qnn_sd.generate.schedulers import Scheduler, known_scheduler, scheduler_sources, workable_scheduler
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.quantize.calibration import (
    CalibrationRecorder,
    PromptSet,
    Samples,
    Trajectory,
    plan_trajectories,
    plan_verification,
    read_prompts,
    record,
    unit_name,
)
from qnn_sd.runner import Runner
from qnn_sd.targets import CpuRunner

# And the model's own scheduler: another one changes nothing here.
CACHE_KEY_SOURCES = (
    *(f"generate/{name}.py" for name in ("text_to_image", "guidance", "noise", "tokenizer")),
    *(f"generate/{name}.py" for name in ("prompt_syntax", "prompt_chunks", "text_states")),
    *("quantize/calibration", "recording_runner.py", "runner.py", "component_io.py"),
    *("prompt_tags.py", "tokenizer_files.py"),
)


@dataclass(frozen=True)
class RecordingPlan:
    """What is recorded.

    Attributes:
        part: for the report: which of the recordings it is.
        suffix: of the artifact's name.
        title: of the progress bar.
        trajectories: the plan.
        texts: what the text encoder is fed.
        steps: sampling steps from noise to image.
    """

    part: str
    suffix: str
    title: str
    trajectories: tuple[Trajectory, ...]
    texts: tuple[str, ...]
    steps: int


def read_prompt_set(config: RecordedConfig | VerificationConfig, prompts: Path | None = None) -> PromptSet:
    """The texts of a config's files.

    Args:
        config: names both files.
        prompts: a file of prompts instead of the config's.

    Raises:
        QuantizeError: a file can't be read, is no text or has no prompt.
    """
    assets = resources.assets()
    return PromptSet(read_prompts(prompts or assets / config.prompts), read_prompts(assets / config.negatives))


def calibration_plan(context: BuildContext) -> RecordingPlan:
    """What ranges are measured on, and weights rounded on."""
    return _plan(context, "all", "", "calibrating", context.model.calibration, _for_chunks(context, context.prompts))


def held_out_plan(context: BuildContext) -> RecordingPlan:
    """What judges: no range and no rounding is fitted to it.

    The prompts are the model's own, whatever it is calibrated with: results of several calibrations compare.
    """
    config = context.model.calibration.held_out
    prompts = _for_chunks(context, read_prompt_set(config))
    return _plan(context, "held-out", ".held_out", "recording held-out data", config, prompts)


def verification_plan(context: BuildContext) -> RecordingPlan:
    """What verifies: not even a choice between two roundings was made by it.

    The model's default guidance comes first, with a negative prompt.
    """
    config = context.model.verification
    prompts = _for_chunks(context, read_prompt_set(config))
    defaults = context.model.default_settings
    others = [setting for setting in context.model.settings if setting not in defaults]
    turns = [*reversed(defaults), *others] * config.prompts_per_setting
    trajectories = plan_verification(prompts, turns, config.kept, config.images, config.seed)
    longest = max(prompts.prompts, key=len)
    texts = tuple(dict.fromkeys([longest, prompts.negatives[0], *prompts.prompts]))[: config.texts]
    title = "recording what to verify with"
    return RecordingPlan("verification", ".verification", title, trajectories, texts, config.steps)


def _is_plain(context: BuildContext) -> bool:
    """Whether marks in prompts are words: as ever for one chunk, whose builds would be others else."""
    return context.prompt_chunks == 1


def _for_chunks(context: BuildContext, texts: PromptSet) -> PromptSet:
    """The texts for a UNet of several chunks: in turns of one chunk, of two, to as many as it takes.

    Long ones are joined of those that follow each other.
    """
    if context.prompt_chunks == 1:
        return texts
    tokenizer = tokenizer_of(context.bundle_info(), context.checkpoint.tokenizer)

    def joined(given: Sequence[str]) -> list[str]:
        found = []
        for number, text in enumerate(given):
            further = number
            while len(tokenizer.encode(text, plain=False, most=context.prompt_chunks).chunks) <= (
                number % context.prompt_chunks
            ):
                further += 1
                text = f"{text}, {given[further % len(given)]}"  # noqa: PLW2901
            found.append(text)
        return found

    return PromptSet(joined(texts.prompts), joined(texts.negatives))


def _plan(
    context: BuildContext, part: str, suffix: str, title: str, config: RecordedConfig, prompts: PromptSet
) -> RecordingPlan:
    model = context.model
    steps, kept = model.calibration.steps, model.calibration.kept_steps
    trajectories = plan_trajectories(
        prompts, model.calibrated, config.trajectories, steps, kept, config.images, config.seed
    )
    # Without a negative prompt, the first guidance pass is fed the empty one.
    texts = ["", *prompts.negatives] if context.passes(model.guidance) == 2 else []
    return RecordingPlan(part, suffix, title, trajectories, (*texts, *prompts.prompts[: config.texts]), steps)


def record_inputs(context: BuildContext, recording: RecordingPlan, floats: Mapping[str, Artifact]) -> Artifact:
    """Records what every component is fed.

    Args:
        context: of the build.
        recording: the plan.
        floats: float graphs of the components that the generation loop calls.

    Raises:
        QuantizeError: a component answers with NaN or infinity; the layer is named.
    """
    context.require_tokenizer()
    scheduler = _scheduler(context)
    recipe = Recipe(
        "calibrate",
        f"{context.model.name}{recording.suffix}",
        {**{name: graph.key for name, graph in floats.items()}, **context.tokenizer_hashes},
        {
            "texts": list(recording.texts),
            "trajectories": [asdict(trajectory) for trajectory in recording.trajectories],
            "steps": recording.steps,
            "scheduler": scheduler,
            "model": context.model_description,
            "components": {each.name: each.recorded_on for each in context.components},
        },
        tool_versions((*CACHE_KEY_SOURCES, *scheduler_sources(scheduler)), "onnxruntime", "numpy"),
        context.work(None, calls=_calls(context, recording)),
    )

    def build(folder: Path) -> dict[str, Any]:
        tokens = _tokens(context, recording.texts)
        fed_texts = {
            each.name: [{"input_ids": chunk.ids} for text in tokens for chunk in text.chunks]
            for each in context.components
            if each.recorded_on == "texts"
        }
        recorder, plan = _recorder(context, floats, recording.steps), recording.trajectories
        record(folder, fed_texts, plan, recording.steps, recorder.record, recording.title, context.console)
        return {each.name: len(Samples(folder, each.name)) for each in context.components}

    return context.store.get_or_build(recipe, recording.part, build, resumable=True)


def _scheduler(context: BuildContext) -> str:
    """What inputs are recorded with: the model's own, unless the checkpoint's config asks that for what isn't built.

    Trajectories count one UNet call a step.
    """
    name = workable_scheduler(context.model.scheduler, context.checkpoint.scheduler)
    has_one_call = known_scheduler(name).calls is Scheduler.calls
    return name if has_one_call else workable_scheduler("dpm++2m", context.checkpoint.scheduler)


def _calls(context: BuildContext, recording: RecordingPlan) -> dict[str, int]:
    """Calls of the components that the generation loop makes to record."""
    passes = [context.passes(each.guidance) for each in recording.trajectories]
    steps = [each.length(recording.steps) for each in recording.trajectories]
    return {
        "text_encoder": sum(passes),
        "unet": sum(times * length for times, length in zip(passes, steps, strict=True)),
        "vae_decoder": sum(each.image for each in recording.trajectories),
    }


def planned_samples(context: BuildContext, recording: RecordingPlan, component: str, first: int | None = None) -> int:
    """How many samples of a component a recording holds.

    Args:
        context: of the build.
        recording: the plan.
        component: its name.
        first: how many of the trajectories are counted; None for all.
    """
    trajectories = recording.trajectories[:first]
    match context.component(component).recorded_on:
        case "texts":
            return len(recording.texts)
        case "steps":
            return sum(len(each.kept) * context.passes(each.guidance) for each in trajectories)
        case "images":
            return sum(each.image for each in trajectories)


def _tokens(context: BuildContext, texts: Sequence[str]) -> list[Tokens]:
    tokenizer = tokenizer_of(context.bundle_info(), context.checkpoint.tokenizer)
    tokens = [tokenizer.encode(text, plain=_is_plain(context), most=context.prompt_chunks) for text in texts]
    if cut := sum(bool(each.cut) for each in tokens):
        context.console.warn(f"{cut} of {len(texts)} prompts are too long for the text encoder: their ends are cut")
    return tokens


def _recorder(context: BuildContext, floats: Mapping[str, Artifact], steps: int) -> CalibrationRecorder:
    info = context.bundle_info()

    def generate(runner: Runner, trajectory: Trajectory, on_step: Callable[[], None]) -> None:
        request = Request(
            trajectory.prompt,
            trajectory.negative,
            steps=steps,
            guidance=trajectory.guidance,
            scheduler=_scheduler(context),
            seed=trajectory.seed,
            stop_after=None if trajectory.image else trajectory.length(steps),
            plain=_is_plain(context),
        )
        TextToImage(runner, info, context.checkpoint.tokenizer).generate(request, lambda _seconds: on_step())

    return CalibrationRecorder(
        CpuRunner(lambda name: floats[name].file(MODEL_FILE), optimize=True),
        {name: graph.folder for name, graph in floats.items()},
        {name: context.component(name).recorded_on for name in floats},
        {each.name: each.derive_feeds for each in context.components if each.derive_feeds},
        context.passes,
        generate,
    )


def by_guidance(context: BuildContext, recorded: Artifact, component: str) -> tuple[Samples, Samples]:
    """A component's calibration samples: those at the model's default guidance, and the others.

    Args:
        context: of the build.
        recorded: by ``calibration_plan``.
        component: whose samples.
    """
    plan = calibration_plan(context).trajectories
    others = {unit_name(number) for number, each in enumerate(plan) if each.guidance != context.model.guidance}
    default = Samples(recorded.folder, component, lambda unit: unit not in others)
    if not len(default):  # so few images that none is of it
        return Samples(recorded.folder, component), default
    return default, Samples(recorded.folder, component, lambda unit: unit in others)
