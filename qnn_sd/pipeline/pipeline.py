"""From checkpoint to bundle: the stages in their order.

Each step is an artifact in the cache: what is there is not built again, and a build that was interrupted goes on
where it stopped. What a stage needs and makes is in ``stages/``; which components there are, in ``components.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from qnn_sd import resources
from qnn_sd.artifact import Artifact
from qnn_sd.artifact_manifest import Work
from qnn_sd.bundle_manifest import Kind, OpenBundle
from qnn_sd.compile import why_no_dlc_runs
from qnn_sd.config import DEMO_MODEL, DeviceProfile, ModelConfig, Rounding, load_model
from qnn_sd.console import Console
from qnn_sd.errors import ConfigError, did_you_mean
from qnn_sd.export.checkpoint import CheckpointIdentity, Sources, open_checkpoint
from qnn_sd.generate import Request, Tokens, tokenizer_of, tokens_of
from qnn_sd.generate.guidance import unet_calls
from qnn_sd.generate.schedulers import make_scheduler
from qnn_sd.generate.text_states import encoded_chunks
from qnn_sd.generate.tokenizer import ClipTokenizer
from qnn_sd.pipeline.artifact_store import ArtifactStore, PlannedStage
from qnn_sd.pipeline.components import STABLE_DIFFUSION_1, Component
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.pipeline.expected_build import ExpectedBuild
from qnn_sd.pipeline.given_encodings import given_encodings
from qnn_sd.pipeline.model_choice import choose_model
from qnn_sd.pipeline.stages import (
    bundle_stage,
    calibrate_stage,
    compile_stage,
    dlc_stage,
    export_stage,
    hub_compile_stage,
    quantize_stage,
    sizes_stage,
    verify_stage,
)
from qnn_sd.pipeline.stages.calibrate_stage import RecordingPlan
from qnn_sd.pipeline.stages.hub_jobs import HubOrder
from qnn_sd.pipeline.stages.hub_source import bytes_to_send
from qnn_sd.quantize import QuantizationScheme
from qnn_sd.quantize.calibration import Samples, Trajectory
from qnn_sd.verification import (
    QDQ_AGAINST_FLOAT,
    ComponentVerification,
    SqnrSummary,
    VerificationInput,
    binary_gate,
    gate_warning,
    require_gate,
)

# What a dry run, which measures nothing, hands on.
_NOT_MEASURED = SqnrSummary(all_db=0.0, worst_db=200.0, worst_input="not measured")


def _refuse_unknown_components(model: ModelConfig, components: Sequence[str]) -> None:
    """Raises a ConfigError for bit widths of a component that the model doesn't have: they would do nothing."""
    for name in model.quantization.weight_overrides:
        if name not in components:
            raise ConfigError(
                f"The config of {model.name} has bit widths for {name!r}, which is no component",
                hint=did_you_mean(name, components),
            )


class BuildPipeline:
    """Builds what a target needs for one model.

    Args:
        model: its config; None for the one that fits the checkpoint. What it leaves to a checkpoint's kind is
            settled here (``self.model``).
        console: where progress is shown.
        sources: a checkpoint instead of the model's own, and what is put into it.
        cache: where artifacts stand; None for the user's cache.
        encodings: a folder with ``<component>.json`` in AIMET's format, for the components whose
            ranges aren't to be measured.
        dry_run: whether to find out only which stages there are (``plan``) and build nothing;
            artifacts that aren't there are returned all the same, and a hub id isn't downloaded.
        prompts: a file of prompts to calibrate with instead of the model's own.
        rounding: of the weights whose ranges are measured; ``nearest`` is faster and errs more.
        verify: whether graphs are verified before they are bundled; the bundle remembers if not.
        components: what the model consists of.
        size: width and height of the image in pixels; None for the model's, or the checkpoint's own where the
            checkpoint decides.

    Raises:
        SettingError: the model's config doesn't fit the checkpoint, several do, or a size that isn't possible.
        UnknownModelError: no config was named, and none fits.
        CheckpointError: a checkpoint that is missing, damaged, or doesn't fit what is put into it.

    Attributes:
        model: its config.
        checkpoint: the open checkpoint.
        encodings: files of given encodings, by component.
        rounding: of the weights whose ranges are measured.
        measured: what was measured of components so far, those that are refused included.
        calls: the same call by call, by component and by the comparison's field in ``ComponentVerification``.
        warnings: about components that passed a gate, but barely.
        reports: what became of each stage.
        plan: of a dry run, the same.
    """

    def __init__(
        self,
        model: ModelConfig | None,
        console: Console,
        sources: Sources | None = None,
        cache: Path | None = None,
        encodings: Path | None = None,
        dry_run: bool = False,
        prompts: Path | None = None,
        rounding: Rounding = "adaround",
        verify: bool = True,
        components: tuple[Component, ...] = STABLE_DIFFUSION_1,
        size: tuple[int, int] | None = None,
    ) -> None:
        self.rounding = rounding
        self._weights_of: BuildPipeline | None = None
        self._of_one_chunk: BuildPipeline | None = None
        self.warnings: list[str] = []
        cache = cache or resources.cache()
        store = ArtifactStore(cache, console, dry_run)
        self.reports, self.plan, self._store = store.reports, store.plan, store
        names = [component.name for component in components]
        self.encodings = given_encodings(encodings, names) if encodings else {}
        sources = sources or Sources()
        if model is None and sources.checkpoint is None:
            model = load_model(DEMO_MODEL)
        # Before a checkpoint is looked for, which may be a download.
        if model is not None:
            _refuse_unknown_components(model, names)
            calibrate_stage.read_prompt_set(model.calibration, prompts)
        self.checkpoint = open_checkpoint(sources, not dry_run, model, cache, console.say)
        model = choose_model(model, self.checkpoint, size, sources.checkpoint is None, console.say)
        _refuse_unknown_components(model, names)
        prompt_set = calibrate_stage.read_prompt_set(model.calibration, prompts)
        self.model = model.for_lcm(self.checkpoint.embeds_guidance) if self.checkpoint.is_lcm else model
        self._context = BuildContext(
            self.model,
            self.checkpoint,
            components,
            store,
            console,
            prompt_set,
            rounding,
            self.encodings,
            verify,
            dry_run,
        )
        self.measured, self.calls = self._context.measured, self._context.calls

    def planned(self, build: Callable[[BuildPipeline], object]) -> list[PlannedStage]:
        """What a build would do here, without doing it: the stages in their order. The checkpoint is read, to hash it.

        Args:
            build: calls the methods of the pipeline that it is given.
        """
        twin = self._dry(ArtifactStore(self._store.cache, self._context.console, dry_run=True))
        build(twin)
        return twin.plan

    def _dry(self, store: ArtifactStore) -> BuildPipeline:
        """The same in a store that builds nothing."""
        twin = copy(self)
        twin._store, twin.reports, twin.plan, twin.warnings = store, store.reports, store.plan, []
        twin.measured, twin.calls = {}, {}
        twin._context = replace(self._context, store=store, dry_run=True, measured=twin.measured, calls=twin.calls)
        if self._of_one_chunk is not None:
            twin._of_one_chunk = twin._weights_of = self._of_one_chunk._dry(store)
        return twin

    def at_size(self, width: int, height: int) -> BuildPipeline:
        """The same build at another size, in the same store.

        Its weights are rounded as this one's, so that a context binary can hold them once for both; its activations
        are calibrated by themselves.

        Args:
            width: of the image in pixels.
            height: of the image in pixels.
        """
        other = copy(self)
        other.__dict__.pop("_verification_plan", None)
        other._weights_of, other.measured, other.warnings = self, {}, []
        other.model = self.model.resized(width, height)
        other._context = replace(self._context, model=other.model)
        if self._of_one_chunk is not None:
            other._of_one_chunk = self._of_one_chunk.at_size(width, height)
        return other

    def at_chunks(self, chunks: int) -> BuildPipeline:
        """The same build for prompts of several chunks, in the same store.

        The UNet alone is another one. Its weights are rounded as this one's, its activations are calibrated by
        themselves, with prompts of one chunk and of several.

        Args:
            chunks: of text that the UNet takes.
        """
        of_one = self._of_one_chunk or self
        if chunks == 1:
            return of_one
        other = copy(of_one)
        other.__dict__.pop("_verification_plan", None)
        other._weights_of = other._of_one_chunk = of_one
        other._context = replace(self._context, prompt_chunks=chunks)
        return other

    def _owner(self, component: str) -> BuildPipeline:
        """The build that a component is of: what doesn't depend on a prompt's chunks is that of one chunk."""
        if self._of_one_chunk is None or self._context.component(component).prompted:
            return self
        return self._of_one_chunk

    @property
    def prompt_chunks(self) -> int:
        """Chunks of text that the UNet takes."""
        return self._context.prompt_chunks

    def prompt_tokens(self, request: Request) -> tuple[Tokens, Tokens]:
        """The tokens of a request's prompt and negative prompt, however long they are.

        Raises:
            CheckpointError: the tokenizer is missing or another model's.
        """
        return tokens_of(self._tokenizer, request)

    @property
    def _tokenizer(self) -> ClipTokenizer:
        return tokenizer_of(self._context.bundle_info(), self.checkpoint.tokenizer)

    def expect(self, expected: ExpectedBuild) -> None:
        """From now on, stages say which of the plan they are, and what is left."""
        self._store.expected = expected

    @property
    def components(self) -> tuple[str, ...]:
        """Names of all components."""
        return tuple(component.name for component in self._context.components)

    @property
    def text_to_image(self) -> tuple[str, ...]:
        """Names of the components that an image from a prompt needs."""
        return tuple(component.name for component in self._context.components if component.text_to_image)

    def work(self, component: str) -> Work:
        """What there is to do where a component is gone through once, for estimates."""
        return self._context.work(component)

    def image_work(self, variant: str, request: Request | None = None, count: int = 1) -> Work:
        """What there is to do for images, for estimates.

        Args:
            variant: what generates them: ``float`` or ``qdq`` on the CPU, or ``emulator``.
            request: how; None for the model's defaults.
            count: how many.

        Raises:
            CheckpointError: the tokenizer is missing or another model's.
            SettingError: a number of steps that the request's scheduler can't do.
            UnsupportedModelError: the checkpoint's config asks its scheduler for a variant that isn't built.
        """
        model = self.model
        passes = self.passes(model.guidance if request is None else request.guidance)
        unet, texts = passes * model.steps, passes
        if request is not None:
            prompts = self.prompt_tokens(request)[:passes]
            texts = len(encoded_chunks(prompts, self._tokenizer.empty_chunk(), self.prompt_chunks))
            scheduler = make_scheduler(request.scheduler, self.checkpoint.scheduler, request.steps)
            unet = unet_calls(scheduler, passes, request.guidance_interval)
        calls = {"text_encoder": texts, "unet": unet * count, "vae_decoder": count}
        return self._context.work(None, variant, calls, of=self.text_to_image)

    def passes(self, guidance: float) -> int:
        """Passes of the UNet in a guided step at a guidance scale: 1 or 2."""
        return self._context.passes(guidance)

    @property
    def identity(self) -> CheckpointIdentity:
        """Names and hashes of what the model is made from."""
        return self.checkpoint.identity()

    @property
    def tokenizer_sha256(self) -> str:
        """Hex SHA-256 of the tokenizer's content.

        Raises:
            CheckpointError: the tokenizer is missing.
        """
        return self.checkpoint.tokenizer.sha256

    def export(self, component: str) -> Artifact:
        """The component's float graph."""
        return export_stage.export_graph(self._context, component)

    def calibration(self) -> Artifact:
        """What every component is fed along real trajectories."""
        return self._recorded(calibrate_stage.calibration_plan(self._context))

    def held_out(self) -> Artifact:
        """The same from other prompts and noise, to judge with."""
        return self._recorded(calibrate_stage.held_out_plan(self._context))

    def verification(self) -> Artifact:
        """The same once more, to verify with."""
        return self._recorded(self._verification_plan)

    def verification_plan(self) -> tuple[Trajectory, ...]:
        """The trajectories of ``verification()``: the model's default guidance first, with a negative prompt."""
        return self._verification_plan.trajectories

    @cached_property
    def _verification_plan(self) -> RecordingPlan:
        return calibrate_stage.verification_plan(self._context)

    def _recorded(self, recording: RecordingPlan) -> Artifact:
        # In seconds it is known whether given encodings fit their graphs, and a recording may take hours.
        for name in self.encodings:
            self.quantize(name)
        floats = {each.name: self.export(each.name) for each in self._context.components if not each.derive_feeds}
        return calibrate_stage.record_inputs(self._context, recording, floats)

    @staticmethod
    def samples(recorded: Artifact, component: str) -> Samples:
        """The feeds of a component in one of the recordings, read one at a time."""
        return Samples(recorded.folder, component)

    def samples_by_guidance(self, component: str) -> tuple[Samples, Samples]:
        """The feeds of a component in ``calibration()``: at the model's default guidance, and at others."""
        owner = self._owner(component)
        return calibrate_stage.by_guidance(owner._context, owner.calibration(), component)

    @property
    def known_inputs(self) -> dict[str, tuple[float, float]]:
        """The ranges that the UNet's inputs have by their nature, by input name."""
        return quantize_stage.known_inputs(self._context)

    def quantize(self, component: str) -> Artifact:
        """The component's QDQ graph."""
        if self._owner(component) is not self:
            return self._owner(component).quantize(component)
        source = self.export(component)
        if given := self.encodings.get(component):
            return quantize_stage.quantize_with_given_encodings(self._context, component, source, given)
        calibration = self.calibration()
        held_out = self.held_out() if self._context.rounding == "adaround" else None
        weights = self._weights_of.quantize(component) if self._weights_of and held_out else None
        return quantize_stage.quantize_graph(self._context, component, source, calibration, held_out, weights)

    def scheme(self, component: str) -> QuantizationScheme:
        """The bit widths of a component whose encodings aren't given."""
        return quantize_stage.scheme_of(self._context, component)

    def compile(self, component: str, profile: DeviceProfile) -> Artifact:
        """The component's context binary for a SoC; nothing is known of it until it is verified."""
        return self._compiled([component], (profile,))[component]

    def _quantized(self, components: Sequence[str]) -> dict[str, Artifact]:
        return {name: self.quantize(name) for name in components}

    def _compiled(self, components: Sequence[str], socs: tuple[DeviceProfile, ...]) -> dict[str, Artifact]:
        """Context binaries, side by side; each serves all of the SoCs."""
        return compile_stage.compile_binaries(self._context, self._quantized(components), socs)

    def verification_inputs(self, component: str) -> list[VerificationInput]:
        """What a component is verified with, labelled."""
        owner = self._owner(component)
        return verify_stage.verification_inputs(
            owner._context, component, owner._verification_plan, owner.verification()
        )

    def sample_prompt(self) -> str:
        """A prompt that nothing was fitted to, for an image beside the figures."""
        return self.verification_plan()[-1].prompt

    def verify_quantization(self, component: str) -> ComponentVerification:
        """Holds a component's QDQ graph against the float model, on the CPU.

        Raises:
            VerificationError: it is too far from it, or answers with NaN or infinity.
        """
        if self._owner(component) is not self:
            return self._owner(component).verify_quantization(component)
        artifact = verify_stage.verify_qdq(
            self._context,
            component,
            self.export(component),
            self.quantize(component),
            self._verification_plan,
            self.verification(),
        )
        if self._context.dry_run and not artifact.metadata:
            return ComponentVerification(qdq_against_float=_NOT_MEASURED)
        verified = verify_stage.measured_figures(artifact, ComponentVerification)
        if self._context.dry_run:
            return verified
        self.measured[component] = verified
        # What the cache says is held to the gate like what was measured just now.
        suspect = verify_stage.likely_cause_in_encodings(self._context, component)
        require_gate(QDQ_AGAINST_FLOAT, component, verified.qdq_against_float, *suspect)
        warning = gate_warning(QDQ_AGAINST_FLOAT, component, verified.qdq_against_float)
        if warning and warning not in self.warnings:
            self.warnings.append(warning)
            self._context.console.warn(warning)
        return verified

    def verify(
        self, components: Sequence[str], profile: DeviceProfile, compiled: Mapping[str, Artifact] | None = None
    ) -> dict[str, ComponentVerification]:
        """Verifies components: QDQ graphs against float, then context binaries against QDQ graphs, side by side.

        Args:
            components: names.
            profile: the SoC.
            compiled: what is verified of each in the place of the context binary that is compiled here: its DLC, or a
                binary that was compiled elsewhere.

        Raises:
            VerificationError: a gate refuses one. Those that were verified before it stay so.
        """
        verified = {component: self.verify_quantization(component) for component in components}
        binaries = self._compiled(components, (profile,)) if compiled is None else compiled
        artifacts: dict[str, Artifact] = {}
        for owner in dict.fromkeys(map(self._owner, components)):
            artifacts |= verify_stage.verify_binaries(
                owner._context,
                profile,
                {name: owner.quantize(name) for name in components if self._owner(name) is owner},
                binaries,
                owner._verification_plan,
                owner.verification(),
            )
        for name, artifact in artifacts.items():
            if self._context.dry_run and not artifact.metadata:
                found = _NOT_MEASURED
            else:
                found = verify_stage.measured_figures(artifact, SqnrSummary)
            verified[name] = verified[name].model_copy(update={"binary_against_qdq": found})
            if not self._context.dry_run:
                self.measured[name] = verified[name]
                gate = binary_gate(profile.htp_arch)
                require_gate(gate, name, found, *verify_stage.likely_cause_in_versions())
        return verified

    def bundle(self, profile: DeviceProfile, components: Sequence[str] | None = None) -> OpenBundle:
        """Context binaries for a SoC, with the QDQ graphs for what can't run on the HTP.

        Args:
            profile: the SoC.
            components: names; None for all.
        """
        return self._opened(self.build_bundle(profile, components))

    def _opened(self, bundle: Artifact) -> OpenBundle:
        self._context.console.kept.build_is_whole()
        return OpenBundle(bundle)

    def build_bundle(self, profile: DeviceProfile, components: Sequence[str] | None = None) -> Artifact:
        """The same as an artifact, which a dry run doesn't open."""
        self._context.require_tokenizer()
        names = self.components if components is None else components
        verified = self.verify(names, profile) if self._context.verify else None
        return self._bundled(names, (profile,), verified)

    def build_hub_bundle(self, profile: DeviceProfile, order: HubOrder) -> Artifact:
        """The same as ``build_bundle``, of binaries that AI Hub compiles.

        Args:
            profile: the SoC.
            order: what AI Hub is to compile with.

        Raises:
            HubServiceError: AI Hub can't be reached, or refuses a graph.
            HubJobError: a job of it failed.
            HubDeadlineError: a job didn't end in time.
            BinaryError: what came back isn't what was asked for.
            VerificationError: a gate refuses a component.
        """
        self._context.require_tokenizer()
        graphs = self._quantized(self.components)
        # What is refused here isn't sent anywhere.
        verified = {name: self.verify_quantization(name) for name in graphs} if self._context.verify else None
        floats = self._sent_floats(order)
        compiled = hub_compile_stage.compile_at_hub(self._context, graphs, floats, profile, order)
        if verified is not None:
            verified = self.verify(self.components, profile, compiled)
        return bundle_stage.bundle_binaries(
            self._context,
            (profile,),
            {name: (qdq, compiled[name]) for name, qdq in graphs.items()},
            verified,
            f"{profile.soc}.{order.suffix}",
            order.origin,
        )

    def _sent_floats(self, order: HubOrder) -> dict[str, Artifact]:
        return {name: self.export(name) for name in self.components} if order.source == "aimet" else {}

    def hub_uploads(self, order: HubOrder) -> dict[str, int | None]:
        """Bytes of what AI Hub would be sent of each component; None where it isn't built yet. For dry runs."""
        floats = self._sent_floats(order)
        return {
            name: bytes_to_send(order.source, qdq, floats.get(name))
            for name, qdq in self._quantized(self.components).items()
        }

    def build_multi_soc_bundle(self, profiles: Sequence[DeviceProfile]) -> Artifact:
        """One bundle whose context binaries serve several SoCs.

        The emulator loads no file for several SoCs. So each SoC's own binaries, from the same QDQ graphs, are compiled
        and verified before, and the bundle says that its files weren't run.

        Raises:
            VerificationError: a gate refuses a component, for one of the SoCs.
        """
        self._context.require_tokenizer()
        verified: dict[str, ComponentVerification] | None = None
        if self._context.verify:
            for profile in profiles:
                self.verify(self.components, profile)
            verified = {name: self.verify_quantization(name) for name in self.components}
        return self._bundled(self.components, tuple(profiles), verified)

    def build_dlcs(self, profile: DeviceProfile) -> Artifact:
        """A folder with each component as a DLC, for the HTP of a SoC.

        Raises:
            VerificationError: a gate refuses a component.
        """
        graphs = self._quantized(self.components)
        dlcs = {name: dlc_stage.build_dlc(self._context, name, qdq, profile) for name, qdq in graphs.items()}
        not_run, verified = why_no_dlc_runs(), None
        if self._context.verify and not_run:
            verified = {name: self.verify_quantization(name) for name in self.components}
        elif self._context.verify:
            verified = self.verify(self.components, profile, dlcs)
        pairs = {name: (qdq, dlcs[name]) for name, qdq in graphs.items()}
        return dlc_stage.collect_dlcs(self._context, profile, pairs, verified, not_run)

    def build_sizes(self, further: Sequence[tuple[int, int]], profile: DeviceProfile) -> Artifact:
        """A folder with context binaries for this size and others, which hold the weights once.

        Args:
            further: width and height of the other sizes.
            profile: the SoC.

        Raises:
            CompileError: the compiler refused a component.
            VerificationError: a gate refuses a component at one of the sizes.
        """
        self._context.require_tokenizer()
        builds = {each.size_name: each for each in (self, *(self.at_size(*size) for size in further))}
        of_each = [name for name in self.components if self._context.component(name).sized]
        of_all = [name for name in self.components if name not in of_each]
        graphs = {c: {size: each.quantize(c) for size, each in builds.items()} for c in of_each}
        compiled = {c: sizes_stage.compile_sizes(self._context, c, graphs[c], profile) for c in of_each}
        verified: dict[str, dict[str, ComponentVerification]] = {}
        if self._context.verify:
            alone = self.verify(of_all, profile)
            verified = {
                size: alone | {name: each.verify_quantization(name) for name in of_each}
                for size, each in builds.items()
            }
            for component in of_each:
                found = self._verify_sizes(component, graphs[component], compiled[component], builds, profile)
                for size, summary in found.items():
                    whole = verified[size][component].model_copy(update={"binary_against_qdq": summary})
                    verified[size][component] = whole
        compiled |= self._compiled(of_all, (profile,))
        infos = {
            size: bundle_stage.size_info(
                each._context, profile, size, list(builds), of_each, of_all, verified.get(size)
            )
            for size, each in builds.items()
        }
        return sizes_stage.bundle_sizes(self._context, profile, infos, compiled)

    def _verify_sizes(
        self,
        component: str,
        graphs: Mapping[str, Artifact],
        compiled: Artifact,
        builds: Mapping[str, BuildPipeline],
        profile: DeviceProfile,
    ) -> dict[str, SqnrSummary]:
        """What was measured of a component's shared binary, by size."""
        owners = {size: each._owner(component) for size, each in builds.items()}
        recorded = {size: each.verification() for size, each in owners.items()}
        inputs = {size: partial(each._emulator_inputs, component) for size, each in owners.items()}
        made = sizes_stage.verify_sizes(self._context, component, graphs, compiled, recorded, inputs, profile)
        if self._context.dry_run and not made.metadata:
            return dict.fromkeys(builds, _NOT_MEASURED)
        return {size: SqnrSummary.model_validate(found) for size, found in made.metadata.items()}

    def _emulator_inputs(self, component: str) -> list[VerificationInput]:
        return verify_stage.emulator_inputs(self._context, component, self._verification_plan, self.verification())

    @property
    def size_name(self) -> str:
        """Such as ``512x768``: width, then height."""
        return f"{self.model.width}x{self.model.height}"

    def _bundled(
        self,
        components: Sequence[str],
        socs: tuple[DeviceProfile, ...],
        verified: dict[str, ComponentVerification] | None,
    ) -> Artifact:
        compiled = self._compiled(components, socs)
        graphs = {name: (qdq, compiled[name]) for name, qdq in self._quantized(components).items()}
        return bundle_stage.bundle_binaries(self._context, socs, graphs, verified)

    def cpu_bundle(self, kind: Kind) -> OpenBundle:
        """Float or QDQ graphs for ONNX Runtime's CPU provider."""
        return self._opened(self.build_cpu_bundle(kind))

    def build_cpu_bundle(self, kind: Kind) -> Artifact:
        """The same as an artifact, which a dry run doesn't open."""
        self._context.require_tokenizer()
        build = self.export if kind == "float" else self.quantize
        graphs = {component: build(component) for component in self.text_to_image}
        verified: dict[str, ComponentVerification] | None = {}
        if kind != "float":
            verified = {name: self.verify_quantization(name) for name in graphs} if self._context.verify else None
        return bundle_stage.bundle_cpu_graphs(self._context, kind, graphs, verified)
