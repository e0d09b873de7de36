"""One model, its sizes and chunks of text, and what of it is counted for estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Self

from qnn_sd import resources
from qnn_sd.artifact_manifest import Work
from qnn_sd.config import DEMO_MODEL, ModelConfig, Rounding, load_model
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
from qnn_sd.pipeline.stages import calibrate_stage


def _refuse_unknown_components(model: ModelConfig, components: Sequence[str]) -> None:
    """Raises a ConfigError for bit widths of a component that the model doesn't have: they would do nothing."""
    for name in model.quantization.weight_overrides:
        if name not in components:
            raise ConfigError(
                f"The config of {model.name} has bit widths for {name!r}, which is no component",
                hint=did_you_mean(name, components),
            )


class ModelBuild:
    """A model that is to be built, and its variants, which share a store.

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
        UnknownModelError: no config was named, and none has the checkpoint's latents.
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
        self._weights_of: Self | None = None
        self._of_one_chunk: Self | None = None
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

    def planned(self, build: Callable[[Self], object]) -> list[PlannedStage]:
        """What a build would do here, without doing it: the stages in their order. The checkpoint is read, to hash it.

        Args:
            build: calls the methods of the pipeline that it is given.
        """
        twin = self._dry(ArtifactStore(self._store.cache, self._context.console, dry_run=True))
        build(twin)
        return twin.plan

    def _dry(self, store: ArtifactStore) -> Self:
        """The same in a store that builds nothing."""
        twin = copy(self)
        twin._store, twin.reports, twin.plan, twin.warnings = store, store.reports, store.plan, []
        twin.measured, twin.calls = {}, {}
        twin._context = replace(self._context, store=store, dry_run=True, measured=twin.measured, calls=twin.calls)
        if self._of_one_chunk is not None:
            twin._of_one_chunk = twin._weights_of = self._of_one_chunk._dry(store)
        return twin

    def _variant(self) -> Self:
        """A copy that plans what it records by itself."""
        other = copy(self)
        other.__dict__.pop("_verification_plan", None)
        return other

    def at_size(self, width: int, height: int) -> Self:
        """The same build at another size, in the same store.

        Its weights are rounded as this one's, so that a context binary can hold them once for both; its activations
        are calibrated by themselves.

        Args:
            width: of the image in pixels.
            height: of the image in pixels.
        """
        other = self._variant()
        other._weights_of, other.measured, other.warnings = self, {}, []
        other.model = self.model.resized(width, height)
        other._context = replace(self._context, model=other.model)
        if self._of_one_chunk is not None:
            other._of_one_chunk = self._of_one_chunk.at_size(width, height)
        return other

    def at_chunks(self, chunks: int) -> Self:
        """The same build for prompts of several chunks, in the same store.

        The UNet alone is another one. Its weights are rounded as this one's, its activations are calibrated by
        themselves, with prompts of one chunk and of several.

        Args:
            chunks: of text that the UNet takes.
        """
        of_one = self._of_one_chunk or self
        if chunks == 1:
            return of_one
        other = of_one._variant()
        other._weights_of = other._of_one_chunk = of_one
        other._context = replace(self._context, prompt_chunks=chunks)
        return other

    def _owner(self, component: str) -> Self:
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

    @property
    def size_name(self) -> str:
        """Such as ``512x768``: width, then height."""
        return f"{self.model.width}x{self.model.height}"
