"""What all stages of one build share: the model, its checkpoint, its components, and where artifacts are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from qnn_sd import artifact
from qnn_sd.artifact_manifest import Work
from qnn_sd.bundle_manifest import Bundle, Part, Soc
from qnn_sd.config import ModelConfig, Rounding
from qnn_sd.console import Console
from qnn_sd.errors import SettingError, did_you_mean
from qnn_sd.export import model_metadata
from qnn_sd.export.checkpoint import Checkpoint
from qnn_sd.pipeline.artifact_store import ArtifactStore
from qnn_sd.pipeline.components import Component
from qnn_sd.quantize.calibration import PromptSet
from qnn_sd.verification import CallSqnr, ComponentVerification


@dataclass(frozen=True)
class BuildContext:
    """What a build is of, and what it was told.

    Attributes:
        model: the model's config.
        checkpoint: an open one.
        components: all that the model has.
        store: where artifacts are kept.
        console: where progress is shown.
        prompts: what is calibrated with.
        rounding: of weights whose ranges are measured.
        encodings: files of given encodings, by component.
        verify: whether graphs are verified before they are bundled.
        dry_run: whether nothing is made.
        prompt_chunks: chunks of text that the UNet takes.
        measured: figures of components so far, those that a gate refuses included.
        calls: the same call by call, by component and by the comparison's field in ``ComponentVerification``.
    """

    model: ModelConfig
    checkpoint: Checkpoint
    components: tuple[Component, ...]
    store: ArtifactStore
    console: Console
    prompts: PromptSet
    rounding: Rounding
    encodings: Mapping[str, Path]
    verify: bool
    dry_run: bool
    prompt_chunks: int = 1
    measured: dict[str, ComponentVerification] = field(default_factory=dict)
    calls: dict[tuple[str, str], tuple[CallSqnr, ...]] = field(default_factory=dict)

    def component(self, name: str) -> Component:
        """The component of a name.

        Raises:
            SettingError: the model has none; the nearest name is suggested.
        """
        for component in self.components:
            if component.name == name:
                return component
        known = [component.name for component in self.components]
        raise SettingError(f"{self.model.name} has no component {name!r}", hint=did_you_mean(name, known))

    @cached_property
    def model_description(self) -> dict[str, Any]:
        """What a bundle says of its model, as plain JSON values.

        Raises:
            CheckpointError: the tokenizer is missing or another model's.
        """
        return {
            "model": self.model.name,
            "height": self.model.height,
            "width": self.model.width,
            **asdict(model_metadata(self.checkpoint)),
            "scheduler": dict(self.checkpoint.scheduler),
            "padding_token": self.checkpoint.padding_token,
            "added_tokens": self.checkpoint.added_tokens,
            "prompt_chunks": self.prompt_chunks,
        }

    def hashes_of(self, files: Mapping[str, Path]) -> dict[str, str]:
        """SHA-256 of files by name; large ones that this process hasn't read before show a bar."""
        unread = {path: artifact.unread_bytes(path) for path in files.values()}
        with self.console.reading("reading the checkpoint", sum(unread.values())) as on_bytes:
            return {
                name: artifact.sha256_of_file(path, on_bytes if unread[path] else None) for name, path in files.items()
            }

    @cached_property
    def tokenizer_hashes(self) -> dict[str, str]:
        """SHA-256 of the tokenizer's content, wherever it came from."""
        return {"tokenizer": self.checkpoint.tokenizer.sha256}

    @cached_property
    def parameters(self) -> dict[str, int]:
        """Parameters of each component."""
        exports = [each.export for each in self.components]
        return {each.name: self.checkpoint.parameters(each.part, each.ignored_tensors) for each in exports}

    def work(
        self,
        component: str | None,
        variant: str = "",
        calls: Mapping[str, int] | None = None,
        detail: str = "",
        of: Collection[str] | None = None,
    ) -> Work:
        """What a stage has to do, for estimates.

        Args:
            component: its name; None for all.
            variant: how it is done, where there are several ways.
            calls: how often something is gone through.
            detail: what else changes its time.
            of: the components that it works on where it is of no single one; None for all.
        """
        named = {component} if component else self.parameters.keys() if of is None else of
        pixels = self.model.height * self.model.width
        return Work(
            variant=variant,
            component=component,
            pixels=pixels,
            parameters={name: count for name, count in self.parameters.items() if name in named},
            calls=dict(calls or {}),
            detail=detail,
        )

    def require_tokenizer(self) -> None:
        """Looks for what a bundle needs last, before hours of work that would end in a missing file.

        Raises:
            CheckpointError: the tokenizer is missing or another model's.
        """
        _ = self.model_description, self.tokenizer_hashes

    def bundle_info(
        self,
        parts: Mapping[str, Part] | None = None,
        soc: Soc | None = None,
        verified: Mapping[str, ComponentVerification] | None = None,
    ) -> Bundle:
        """What a bundle of these components says of itself; without any, what the generation loop must know.

        Args:
            parts: the components' files.
            soc: whose binaries they are; None for the CPU.
            verified: what was measured of each; None if verifying was switched off.
        """
        verification = None if verified is None else dict(verified)
        return Bundle(soc=soc, components=dict(parts or {}), verification=verification, **self.model_description)

    def passes(self, guidance: float) -> int:
        """Passes of the UNet in a sampling step at a guidance scale: 1 or 2."""
        return self.bundle_info().passes(guidance)
