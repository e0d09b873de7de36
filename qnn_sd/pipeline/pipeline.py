"""The pipeline from checkpoint to bundle: the one place that knows the order of the stages.

Each step is an artifact in the cache; what is there is not made again, and a pipeline that was
interrupted goes on where it stopped.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from qnn_sd import artifact, qnn_provider, resources
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.bundle import assemble
from qnn_sd.bundle_manifest import Bundle, Kind, OpenBundle, Part, Soc
from qnn_sd.compile import Binary, Verifier, compile_component, usable_cores
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.config import COMPONENTS, DeviceProfile, ModelConfig, RecordedConfig, Rounding, VerificationConfig
from qnn_sd.console import Bar, Console
from qnn_sd.errors import ArtifactError, QuantizeError, did_you_mean
from qnn_sd.export import export_component
from qnn_sd.export.checkpoint import Sources, open_checkpoint
from qnn_sd.export.component import model_metadata
from qnn_sd.generate import Request, TextToImage, tokenizer_of
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline.artifact_store import ArtifactStore, tools
from qnn_sd.quantize import (
    RoundingData,
    best_backend,
    quantize_by_adaround,
    quantize_component,
    sqnr_against_float,
)
from qnn_sd.quantize.calibration import (
    CalibrationRecorder,
    PromptSet,
    Samples,
    Trajectory,
    evenly_spaced,
    plan_trajectories,
    plan_verification,
    read_prompts,
    record,
    unit_name,
)
from qnn_sd.runner import Runner
from qnn_sd.targets import CpuRunner
from qnn_sd.tokenizer_files import tokenizer_files
from qnn_sd.toolchain import load_toolchains
from qnn_sd.verification import (
    BINARY_AGAINST_QDQ,
    QDQ_AGAINST_FLOAT,
    ComponentVerification,
    SettingSqnr,
    SqnrSummary,
    VerificationInput,
    gate_warning,
    require_gate,
)

# What an image needs; the VAE encoder is for images as input.
TEXT_TO_IMAGE_COMPONENTS = ("text_encoder", "unet", "vae_decoder")
Figures = TypeVar("Figures", ComponentVerification, SqnrSummary)
# What a dry run, which measures nothing, hands on.
_PLANNED: Mapping[str, Any] = {"qdq_against_float": {"all_db": 0.0, "worst_db": 200.0, "worst_input": "not measured"}}


def _encodings_by_component(folder: Path) -> dict[str, Path]:
    """The files of a folder of encodings.

    Raises:
        QuantizeError: there is none, or one that no component has the name of.
    """
    hint = f"Put files there that are named after components: {', '.join(f'{name}.json' for name in COMPONENTS)}."
    found = {path.stem: path for path in sorted(folder.glob("*.json"))}
    if not found:
        raise QuantizeError(f"{folder} holds no encodings", why="It has no .json file, or is no folder.", hint=hint)
    for name, path in found.items():
        if name not in COMPONENTS:
            raise QuantizeError(f"{path} is for no component", why=did_you_mean(name, COMPONENTS), hint=hint)
    return found


def _texts_of(config: RecordedConfig | VerificationConfig) -> PromptSet:
    """The texts of a config's files."""
    return PromptSet(*(read_prompts(resources.assets() / name) for name in (config.prompts, config.negatives)))


def _measured(made: Artifact, kind: type[Figures]) -> Figures:
    """The figures of a verification's artifact.

    Raises:
        ArtifactError: it has none, or others.
    """
    try:
        return kind.model_validate(made.metadata)
    except ValidationError as error:
        raise ArtifactError(
            f"{made.folder} doesn't say what was measured",
            why="; ".join(str(error).splitlines()[:2]),
            hint=f"Delete {made.folder} and run again.",
        ) from error


def _suspect_of_versions() -> tuple[str, str]:
    """Whose fault it is if a binary isn't its QDQ graph, and what to do; empty where the versions here were tried."""
    here, known = qnn_provider.versions(), load_toolchains()
    if known.of(here) is not None:
        return "", ""
    told = ", ".join(f"{name} {number}" for name, number in here.items())
    return f"Nobody tried {told} together, and the compiler is of these", known.chosen.install


class BuildPipeline:
    """Builds what a target needs for one model.

    Args:
        model: its config; what it leaves to a checkpoint's kind is settled here (``self.model``).
        console: where progress is shown.
        sources: a checkpoint instead of the model's own, and what is put into it.
        cache: where artifacts stand; None for the user's cache.
        encodings: a folder with ``<component>.json`` in AIMET's format, for the components whose
            ranges aren't to be measured.
        dry_run: whether to find out only which stages there are (``plan``) and make nothing;
            artifacts that aren't there are returned all the same, and a hub id isn't downloaded.
        prompts: a file of prompts to calibrate with instead of the model's own.
        rounding: of the weights whose ranges are measured; ``nearest`` is faster and errs more.
        verify: whether graphs are verified before they are bundled; the bundle remembers if not.

    Attributes:
        judged: what was measured of components so far, those of a build that is refused included.
        warnings: warnings of those that passed, but barely.
    """

    def __init__(
        self,
        model: ModelConfig,
        console: Console,
        sources: Sources | None = None,
        cache: Path | None = None,
        encodings: Path | None = None,
        dry_run: bool = False,
        prompts: Path | None = None,
        rounding: Rounding = "adaround",
        verify: bool = True,
    ) -> None:
        self._console, self._verified, self._dry_run = console, verify, dry_run
        self.judged: dict[str, ComponentVerification] = {}
        self.warnings: list[str] = []
        self.rounding = rounding
        self._store = ArtifactStore(cache or resources.cache(), console, dry_run)
        self.reports, self.plan = self._store.reports, self._store.plan
        self.encodings = _encodings_by_component(encodings) if encodings else {}
        # Before a checkpoint is looked for, which may be a download.
        self._texts = PromptSet(
            read_prompts(prompts or resources.assets() / model.calibration.prompts),
            read_prompts(resources.assets() / model.calibration.negatives),
        )
        sources = sources or Sources()
        if sources.checkpoint is None:
            own = model.checkpoint if model.from_hub else resources.assets() / model.checkpoint
            sources = replace(sources, checkpoint=own)
        self.checkpoint = open_checkpoint(sources, download=not dry_run)
        self.model = model.for_lcm(self.checkpoint.embeds_guidance) if self.checkpoint.is_lcm else model
        self._model_metadata = model_metadata(self.checkpoint)

    def export(self, component: str) -> Artifact:
        """The component's float graph."""
        # Of the other components' configs, a graph depends on the VAE's factor and the text's length.
        metadata = self._model_metadata
        size = {
            "height": self.model.height,
            "width": self.model.width,
            "factor": metadata.factor,
            "tokens": metadata.tokens,
        }
        recipe = Recipe(
            "export",
            f"{self.model.name}.{component}",
            {name: artifact.sha256_of_file(path) for name, path in self.checkpoint.files(component).items()},
            {**size, **self.checkpoint.settings(component)},
            tools("export", "onnx"),
        )
        return self._store.get_or_build(
            recipe,
            component,
            lambda folder: export_component(self.checkpoint, component, self.model.height, self.model.width, folder),
        )

    def calibration(self) -> Artifact:
        """What the float model's components are fed along real trajectories."""
        return self._recorded_for("all", "", "calibrating", self.model.calibration, self._texts)

    def held_out(self) -> Artifact:
        """The same from other prompts and noise, to judge with: no range and no rounding is fitted to it.

        The prompts are the model's own, whatever it is calibrated with: results of several calibrations compare.
        """
        config = self.model.calibration.held_out
        return self._recorded_for("held-out", ".held_out", "recording held-out data", config, _texts_of(config))

    def verification_plan(self) -> tuple[Trajectory, ...]:
        """The trajectories of ``verification()``: the model's own guidance first, with a negative prompt."""
        config = self.model.verification
        own = self.model.default_settings
        others = [each for each in self.model.settings if each not in own]
        turns = [*reversed(own), *others] * config.prompts_per_setting
        return plan_verification(_texts_of(config), turns, config.kept, config.images, config.seed)

    def verification(self) -> Artifact:
        """The same once more, to verify with: not even a choice between two roundings was made by it."""
        config = self.model.verification
        texts = _texts_of(config)
        longest = max(texts.prompts, key=len)
        chosen = list(dict.fromkeys([longest, texts.negatives[0], *texts.prompts]))[: config.texts]
        title = "recording what to verify with"
        return self._recorded("verification", ".verification", title, self.verification_plan(), chosen, config.steps)

    def _recorded_for(self, part: str, suffix: str, title: str, config: RecordedConfig, texts: PromptSet) -> Artifact:
        # The empty prompt is what the other guidance pass is told where there is no negative one.
        told = ["", *texts.negatives] if self._passes(self.model.guidance) == 2 else []
        steps = self.model.calibration.steps
        told += texts.prompts[: config.texts]
        return self._recorded(part, suffix, title, self._plan(config, texts), told, steps)

    def _plan(self, config: RecordedConfig, texts: PromptSet) -> tuple[Trajectory, ...]:
        steps, kept = self.model.calibration.steps, self.model.calibration.kept_steps
        settings = self.model.calibrated
        return plan_trajectories(texts, settings, config.trajectories, steps, kept, config.images, config.seed)

    def _recorded(
        self, part: str, suffix: str, title: str, plan: Sequence[Trajectory], texts: Sequence[str], steps: int
    ) -> Artifact:
        self._look_for_tokenizer()
        floats = {component: self.export(component) for component in TEXT_TO_IMAGE_COMPONENTS}
        recipe = Recipe(
            "calibrate",
            f"{self.model.name}{suffix}",
            {**{name: made.key for name, made in floats.items()}, **self._tokenizer_hashes},
            {
                "texts": list(texts),
                "trajectories": [asdict(each) for each in plan],
                "steps": steps,
                "scheduler": self.model.scheduler,
                "model": self._facts,
            },
            tools("calibrate", "onnxruntime", "numpy"),
        )

        def build(folder: Path) -> dict[str, Any]:
            tokenizer = tokenizer_of(self._bundle_info({}, None), self.checkpoint.tokenizer)
            tokens = [tokenizer.encode(text) for text in texts]
            if cut := sum(bool(each.cut) for each in tokens):
                self._console.warn(
                    f"{cut} of {len(texts)} prompts are too long for the text encoder: their ends are cut"
                )
            ids = [{"input_ids": each.ids} for each in tokens]
            record(folder, ids, plan, steps, self._recorder(floats, steps).record, title, self._console)
            return {component: len(Samples(folder, component)) for component in COMPONENTS}

        return self._store.get_or_build(recipe, part, build, resumable=True)

    def _recorder(self, floats: Mapping[str, Artifact], steps: int) -> CalibrationRecorder:
        model, info = self.model, self._bundle_info({}, None)

        def generate(runner: Runner, trajectory: Trajectory, on_step: Callable[[], None]) -> None:
            request = Request(
                trajectory.prompt,
                trajectory.negative,
                steps=steps,
                guidance=trajectory.guidance,
                scheduler=model.scheduler,
                seed=trajectory.seed,
                stop_after=None if trajectory.image else trajectory.length(steps),
            )
            TextToImage(runner, info, self.checkpoint.tokenizer).generate(request, lambda _seconds: on_step())

        cpu = CpuRunner(lambda name: floats[name].file(MODEL_FILE), optimize=True)
        return CalibrationRecorder(cpu, {name: made.folder for name, made in floats.items()}, self._passes, generate)

    def usual_and_rare(self, recorded: Artifact, component: str) -> tuple[Samples, Samples]:
        """The feeds of ``calibration()`` that are of the model's own guidance, and the others."""
        plan = self._plan(self.model.calibration, self._texts)
        others = {unit_name(number) for number, each in enumerate(plan) if each.guidance != self.model.guidance}
        usual = Samples(recorded.folder, component, lambda unit: unit not in others)
        if not len(usual):  # so few images that none is of it
            return self.samples(recorded, component), usual
        return usual, Samples(recorded.folder, component, lambda unit: unit in others)

    @staticmethod
    def samples(recorded: Artifact, component: str) -> Samples:
        """The feeds of a component in ``calibration()`` or ``held_out()``, read one at a time."""
        return Samples(recorded.folder, component)

    def quantize(self, component: str) -> Artifact:
        """The component's QDQ graph."""
        source, given = self.export(component), self.encodings.get(component)
        if given:
            return self._quantize_as_given(component, source, given)
        calibration, held_out = self.calibration(), self.held_out() if self.rounding == "adaround" else None
        inputs = {"float": source.key, "calibration": calibration.key}
        inputs_known = self.known_inputs
        settings: dict[str, Any] = {
            "scheme": "W8A16",
            "rounding": self.rounding,
            "inputs": inputs_known,
            "usual": self.model.guidance,
        }
        if held_out:
            inputs["held_out"] = held_out.key
            settings |= self.model.rounding.model_dump()
        recipe = Recipe(
            "quantize",
            f"{self.model.name}.{component}",
            inputs,
            settings,
            tools("quantize", "onnx", "onnxruntime", "numpy"),
        )

        def build(folder: Path) -> dict[str, Any]:
            usual, rare = self.usual_and_rare(calibration, component)
            total = len(usual) + len(rare)
            with ExitStack() as bars:
                ranging = self._bar(f"ranges of {component}", bars)
                if not held_out:
                    return quantize_component(
                        source.folder,
                        usual,
                        folder,
                        lambda: ranging(total),
                        input_ranges=inputs_known,
                        other_guidance_samples=rare,
                    )
                backend = best_backend()
                rounding_bar = self._bar(f"rounding {component} with {backend.title}", bars)
                judging_bar = self._bar(f"int8 keys and values of {component}", bars)
                chosen, judging = self.model.rounding, self.samples(held_out, component)
                rounding = RoundingData(
                    evenly_spaced(usual, chosen.samples),
                    evenly_spaced(judging, chosen.held_out),
                    folder / ".rounding",
                    lambda _done, layers: rounding_bar(layers),
                    judging_bar,
                    backend,
                )
                return quantize_by_adaround(
                    source.folder, usual, folder, rounding, lambda: ranging(total), inputs_known, rare
                )

        return self._store.get_or_build(recipe, component, build, resumable=held_out is not None)

    @property
    def known_inputs(self) -> dict[str, tuple[float, float]]:
        """What the UNet's inputs may be by their nature: times of the schedule, sines of the guidance scale."""
        train_steps = float(self.checkpoint.scheduler.get("num_train_timesteps", 1000))
        return {"timestep": (0.0, train_steps - 1), "timestep_cond": (-1.0, 1.0)}

    def _bar(self, title: str, bars: ExitStack) -> Callable[[int], None]:
        """What advances a bar of so many steps; it appears with the first, in the place of the one before it."""
        bar: Bar | None = None

        def advance(total: int) -> None:
            nonlocal bar
            if bar is None:
                bars.close()
                bar = bars.enter_context(self._console.progress(title, total))
            bar.advance()

        return advance

    def _quantize_as_given(self, component: str, source: Artifact, encodings: Path) -> Artifact:
        recipe = Recipe(
            "quantize",
            f"{self.model.name}.{component}",
            {"float": source.key, "encodings": artifact.sha256_of_file(encodings)},
            {"ranges": "given"},
            tools("quantize", "onnx", "numpy"),
        )
        return self._store.get_or_build(
            recipe, component, lambda folder: quantize_component(source.folder, [], folder, encodings=encodings)
        )

    def compile(self, component: str, profile: DeviceProfile) -> Artifact:
        """The component's context binary for a SoC; nothing is known of it until it is proven."""
        qdq = self.quantize(component)
        settings = profile.model_dump(include={"soc_model", "htp_arch", "optimization_mode"})
        recipe = Recipe(
            "compile",
            f"{self.model.name}.{component}.{profile.soc}",
            {"qdq": qdq.key},
            settings,
            {**tools("compile"), **qnn_provider.versions()},
        )

        return self._store.get_or_build(
            recipe,
            component,
            lambda folder: compile_component(qdq.folder, folder=folder, tell=self._console.warn, **settings),
        )

    def verification_inputs(self, component: str) -> list[VerificationInput]:
        """What a component is verified with, labelled."""
        recorded, plan = self.verification(), self.verification_plan()
        steps, kept = self.model.verification.steps, self.model.verification.kept
        if component != "unet":
            what = "text" if component == "text_encoder" else "image"
            samples = self.samples(recorded, component)
            return [VerificationInput(f"{what} {number + 1}", feeds) for number, feeds in enumerate(samples)]
        found: list[VerificationInput] = []
        for number, trajectory in enumerate(plan):
            passes = self._passes(trajectory.guidance)
            of_unit = Samples(recorded.folder, component, partial(operator.eq, unit_name(number)))
            for place, feeds in enumerate(of_unit):
                step = kept[place // passes]
                negative = ", negative prompt" if trajectory.negative else ""
                which = f", {('negative', 'prompt')[place % 2]} pass" if passes == 2 else ""
                where = f"prompt {number + 1}, guidance {trajectory.guidance:g}{negative}"
                label = f"{where}, step {step + 1} of {steps}{which}"
                pair = number * len(kept) + place // passes if passes == 2 else None
                found.append(VerificationInput(label, feeds, pair, trajectory.setting, number))
        return found

    def verify_quantization(self, component: str) -> ComponentVerification:
        """Holds a component's QDQ graph against the float model, on the CPU.

        Raises:
            VerificationError: it is too far from it, or answers with NaN or infinity.
        """
        made = self._judged(component)
        if self._dry_run:
            return ComponentVerification.model_validate(made.metadata or _PLANNED)
        verified = self.judged[component] = _measured(made, ComponentVerification)
        # What the cache says is held to the gate like what was measured just now.
        require_gate(QDQ_AGAINST_FLOAT, component, verified.qdq_against_float, *self._suspect_of_encodings(component))
        warning = gate_warning(QDQ_AGAINST_FLOAT, component, verified.qdq_against_float)
        if warning and warning not in self.warnings:
            self.warnings.append(warning)
            self._console.warn(warning)
        return verified

    def _judged(self, component: str) -> Artifact:
        source, qdq, recorded = self.export(component), self.quantize(component), self.verification()
        recipe = Recipe(
            "verify",
            f"{self.model.name}.{component}.qdq",
            {"float": source.key, "qdq": qdq.key, "verification": recorded.key},
            {},
            tools("verify", "onnxruntime", "numpy"),
        )

        def build(_folder: Path) -> dict[str, Any]:
            inputs = self.verification_inputs(component)
            settings = list(dict.fromkeys(one.setting for one in inputs if one.setting is not None))
            numbers = range(len(inputs))
            own = [n for n in numbers if inputs[n].setting in (None, *self.model.default_settings)]
            groups = [own, *([n for n in numbers if inputs[n].setting == each] for each in settings)]
            with self._console.progress(f"{component} against float", 2 * len(inputs)) as bar:
                found, *others = sqnr_against_float(component, source.folder, qdq.folder, inputs, groups, bar.advance)
            require_gate(QDQ_AGAINST_FLOAT, component, found, *self._suspect_of_encodings(component))
            pairs = zip(settings, others, strict=True)
            verified = ComponentVerification(
                qdq_against_float=found,
                settings=tuple(SettingSqnr(setting=each, likeness=some) for each, some in pairs),
            )
            return verified.model_dump(mode="json")

        return self._store.get_or_build(recipe, component, build)

    def _suspect_of_encodings(self, component: str) -> tuple[str, str]:
        """Whose fault it is if a QDQ graph is far from float, and what to do; empty where nobody knows better."""
        if given := self.encodings.get(component):
            return f"The encodings in {given} don't fit this model", f"Correct {given.name}, or leave --encodings out."
        return "", ""

    def sample_prompt(self) -> str:
        """A prompt that nothing was fitted to, for an image beside the figures."""
        return self.verification_plan()[-1].prompt

    def verify(self, components: Sequence[str], profile: DeviceProfile) -> dict[str, ComponentVerification]:
        """Verifies components: QDQ graphs against float, then context binaries against QDQ graphs, side by side.

        Raises:
            VerificationError: a gate refuses one. Those that were verified before it stay so.
        """
        judged = {component: self.verify_quantization(component) for component in components}
        recipes = {component: self._verification_of(component, profile) for component in components}
        cores = usable_cores()
        verifier = Verifier(cores)
        minutes = self.model.verification.emulator_minutes
        about = f" (about {minutes} minutes on two cores)" if minutes else ""
        made = self._store.get_or_build_side_by_side(
            {name: (recipe, partial(build, verifier)) for name, (recipe, build) in recipes.items()},
            f"verifying on the emulator{about}",
            workers=len(cores),
            call_off=verifier.close,
        )
        for name, each in made.items():
            if self._dry_run:
                found = SqnrSummary.model_validate(each.metadata or _PLANNED["qdq_against_float"])
            else:
                found = _measured(each, SqnrSummary)
                require_gate(BINARY_AGAINST_QDQ, name, found, *_suspect_of_versions())
            judged[name] = judged[name].model_copy(update={"binary_against_qdq": found})
        self.judged |= judged
        return judged

    def _verification_of(
        self, component: str, profile: DeviceProfile
    ) -> tuple[Recipe, Callable[[Verifier, Path], Mapping[str, Any]]]:
        """What a verification on the emulator is of, and what makes it."""
        qdq, compiled, recorded = self.quantize(component), self.compile(component, profile), self.verification()
        recipe = Recipe(
            "verify",
            f"{self.model.name}.{component}.{profile.soc}",
            {"binary": compiled.key, "verification": recorded.key},
            {"trajectories": self.model.verification.images},
            {**tools("verify"), **qnn_provider.versions()},
        )

        def build(verifier: Verifier, _folder: Path) -> dict[str, Any]:
            inputs = self.verification_inputs(component)
            if component == "unet":
                # The emulator takes minutes for a call of a large one: the first ones, of the model's own guidance.
                generated = range(self.model.verification.images)
                inputs = [one for one in inputs if one.trajectory in generated]
            binary = Binary(qdq.folder, compiled.folder, profile.soc_model, profile.htp_arch)
            found = verifier.likeness(component, binary, inputs)
            require_gate(BINARY_AGAINST_QDQ, component, found, *_suspect_of_versions())
            return found.model_dump(mode="json")

        return recipe, build

    def bundle(self, profile: DeviceProfile, components: Sequence[str] = COMPONENTS) -> OpenBundle:
        """Context binaries for a SoC, with the QDQ graphs for what can't run on the HTP."""
        return OpenBundle(self.build_bundle(profile, components))

    def build_bundle(self, profile: DeviceProfile, components: Sequence[str] = COMPONENTS) -> Artifact:
        """The same as an artifact, which a dry run doesn't open."""
        self._look_for_tokenizer()
        sources: dict[str, Artifact] = {}
        parts: dict[str, Part] = {}
        verified = self.verify(components, profile) if self._verified else None
        for component in components:
            qdq = self.quantize(component)
            sources[f"{component}/cpu"] = qdq
            sources[f"{component}/htp"] = self.compile(component, profile)
            parts[component] = Part(
                file=f"{component}/htp/{CONTEXT_FILE}",
                kind="context_binary",
                fallback=f"{component}/cpu/{MODEL_FILE}",
            )
        soc = Soc(name=profile.soc, dl_mode=profile.dl_mode, soc_model=profile.soc_model, htp_arch=profile.htp_arch)
        return self._bundle(profile.soc, parts, sources, soc, verified)

    def cpu_bundle(self, kind: Kind) -> OpenBundle:
        """Float or QDQ graphs for ONNX Runtime's CPU provider."""
        return OpenBundle(self.build_cpu_bundle(kind))

    def build_cpu_bundle(self, kind: Kind) -> Artifact:
        """The same as an artifact, which a dry run doesn't open."""
        self._look_for_tokenizer()
        make = self.export if kind == "float" else self.quantize
        sources = {component: make(component) for component in TEXT_TO_IMAGE_COMPONENTS}
        parts = {name: Part(file=f"{name}/{MODEL_FILE}", kind=kind) for name in sources}
        verified: dict[str, ComponentVerification] | None = {}
        if kind != "float":
            verified = {name: self.verify_quantization(name) for name in sources} if self._verified else None
        return self._bundle(f"cpu-{kind}", parts, sources, None, verified)

    def _bundle(
        self,
        name: str,
        parts: Mapping[str, Part],
        sources: Mapping[str, Artifact],
        soc: Soc | None,
        verified: Mapping[str, ComponentVerification] | None,
    ) -> Artifact:
        info = self._bundle_info(parts, soc, verified)
        if verified is None:
            self._console.warn(
                f"{info.verified}: nothing shows that these graphs compute what the checkpoint does. "
                "The bundle and every image of it say so."
            )
        inputs = {**{key: made.key for key, made in sources.items()}, **self._tokenizer_hashes}
        recipe = Recipe("bundle", f"{self.model.name}.{name}", inputs, info.model_dump(mode="json"), tools("bundle"))

        def build(folder: Path) -> dict[str, Any]:
            assemble(folder, info, {key: made.folder for key, made in sources.items()}, self.checkpoint.tokenizer)
            return {}

        return self._store.get_or_build(recipe, "all", build)

    def _look_for_tokenizer(self) -> None:
        """Hours of work must not end in a missing file: what a bundle needs last is looked for first."""
        _ = self._facts, self._tokenizer_hashes

    @cached_property
    def _tokenizer_hashes(self) -> dict[str, str]:
        tokenizer = self.checkpoint.tokenizer
        return {name: artifact.sha256_of_file(tokenizer / name) for name in tokenizer_files(tokenizer)}

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """What a bundle says of its model."""
        return {
            "model": self.model.name,
            "height": self.model.height,
            "width": self.model.width,
            **asdict(self._model_metadata),
            "scheduler": dict(self.checkpoint.scheduler),
            "padding_token": self.checkpoint.padding_token,
            "added_tokens": self.checkpoint.added_tokens,
        }

    def _passes(self, guidance: float) -> int:
        """Of the UNet in a sampling step."""
        return self._bundle_info({}, None).passes(guidance)

    def _bundle_info(
        self, parts: Mapping[str, Part], soc: Soc | None, verified: Mapping[str, ComponentVerification] | None = None
    ) -> Bundle:
        verification = None if verified is None else dict(verified)
        return Bundle(soc=soc, components=dict(parts), verification=verification, **self._facts)
