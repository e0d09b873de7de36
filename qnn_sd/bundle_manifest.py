"""What a bundle says of itself: the interface between the stage that makes it and the targets."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from qnn_sd.artifact import Artifact
from qnn_sd.config import StrictModel
from qnn_sd.errors import ArtifactError
from qnn_sd.schemas import Document
from qnn_sd.tokenizer_files import Vocabulary, read_vocabulary
from qnn_sd.verification import ComponentVerification
from qnn_sd.wrapped_binary import ENTRIES, check_wrapped

BUNDLE_FILE = "bundle.json"
TOKENIZER_FOLDER = "tokenizer"
Kind = Literal["context_binary", "qdq", "float"]


class WrappedTensor(StrictModel):
    """An input or output of a component whose binary has another one.

    Attributes:
        name: the component's.
        binary: that of the binary.
        steps: ops that turn one into the other, in the order in which they run.
    """

    name: str
    binary: str
    steps: list[str]


class WrappedIO(StrictModel):
    """How the ONNX file of a component turns its inputs and outputs into those of somebody else's binary.

    Attributes:
        contract: whose inputs and outputs the binary has.
        inputs: all of them, in the binary's order.
        outputs: likewise.
    """

    contract: str
    inputs: list[WrappedTensor]
    outputs: list[WrappedTensor]


class Published(StrictModel):
    """Where binaries are from that somebody else compiled.

    Attributes:
        by: who published them.
        release: of what they published.
        file: name of the file.
        sha256: of that file, in hex.
        chipset: that it is for, as the publisher calls it.
        licence: of the weights.
    """

    by: str
    release: str
    file: str
    sha256: str
    chipset: str
    licence: str

    @property
    def text(self) -> str:
        """For people."""
        return f"published by {self.by} {self.release} for {self.chipset}; weights under {self.licence}"


class Part(StrictModel):
    """One component in a bundle.

    Attributes:
        file: its ONNX file, relative to the bundle.
        kind: what that file is.
        fallback: the QDQ graph that the CPU runs where the file can't be used, or None.
        scheme: the bit widths of what is quantized, such as ``W8A16``; None for a float graph.
        wrapped: how the file wraps a binary with other inputs and outputs; None where they are the component's own.
    """

    file: str
    kind: Kind
    fallback: str | None = None
    scheme: str | None = None
    wrapped: WrappedIO | None = None

    @field_validator("file", "fallback")
    @classmethod
    def _inside(cls, name: str | None) -> str | None:
        """A bundle from elsewhere may not reach out of its folder."""
        if name is not None and (PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts):
            raise ValueError(f"{name} leads out of the bundle")
        return name


class Soc(StrictModel):
    """The SoC that a bundle's context binaries are for.

    Attributes:
        name: of its device profile.
        dl_mode: of its device profile.
        soc_model: QNN's number of the SoC.
        htp_arch: its Hexagon architecture.
    """

    name: str
    dl_mode: int | None = None
    soc_model: int
    htp_arch: int


class Bundle(Document):
    """``bundle.json``: a model ready to run.

    Attributes:
        model: name of the model config.
        soc: None in a bundle for the CPU.
        further_socs: those that the same context binaries serve as well (``compile --multi-soc``).
        shared_sizes: those that its context binaries hold beside its own (``compile --size`` typed more than once).
        height: of the image in pixels.
        width: of the image in pixels.
        factor: pixels per latent pixel along one side.
        latent_channels: of the latent.
        scaling_factor: what latents were multiplied with in training.
        tokens: length of a prompt.
        time_cond_proj_dim: width of the guidance embedding (LCM checkpoints), or None.
        scheduler: the checkpoint's ``scheduler_config.json``.
        padding_token: the token that pads prompts.
        added_tokens: names of textual inversions, with the ids of the tokens that each stands for.
        components: by name.
        verification: what was measured of each component; None if verifying was switched off, empty for float graphs.
        published: where its binaries are from; None where they were built here.
    """

    schema_id: Literal["qnn-sd/bundle/1"] = Field("qnn-sd/bundle/1", alias="schema")
    model: str
    soc: Soc | None
    further_socs: tuple[Soc, ...] = ()
    shared_sizes: tuple[str, ...] = ()
    height: int
    width: int
    factor: int
    latent_channels: int
    scaling_factor: float
    tokens: int
    time_cond_proj_dim: int | None
    scheduler: dict[str, Any]
    padding_token: str | None
    added_tokens: dict[str, list[int]]
    components: dict[str, Part]
    verification: dict[str, ComponentVerification] | None
    published: Published | None = None

    @property
    def verified(self) -> str:
        """Whether what it holds was verified, for people."""
        if self.published is not None:
            return f"NOT VERIFIED (published by {self.published.by}, with no graphs to compare with)"
        if self.verification is None:
            return "NOT VERIFIED (--no-verify)"
        if not self.verification:
            return "float graphs: nothing to verify"
        if self.further_socs:
            return (
                "NOT RUN (the emulator loads no file for several SoCs); from the same QDQ graphs as binaries for each "
                "SoC alone, which were verified"
            )
        floats = min(each.qdq_against_float.worst_db for each in self.verification.values())
        text = f"at the model's default guidance QDQ graphs against float at least {floats:.1f} dB SQNR"
        binaries = [each.binary_against_qdq.worst_db for each in self.verification.values() if each.binary_against_qdq]
        if not binaries:
            return text
        text = f"{text}, context binaries against QDQ graphs at least {min(binaries):.1f} dB"
        if self.shared_sizes:
            # The emulator loads no file with shared weights.
            text = (
                f"{text}; unverified: loading a file with shared weights (the graphs ran in the process that wrote it)"
            )
        return text

    def passes(self, guidance: float) -> int:
        """Passes of the UNet in a sampling step: 2 with classifier-free guidance, else 1.

        Args:
            guidance: the scale; 1 is none.
        """
        # LCM checkpoints take the scale as an input and have no unconditional pass.
        return 2 if guidance > 1 and self.time_cond_proj_dim is None else 1


class OpenBundle:
    """A bundle on disk.

    Args:
        made: the bundle's artifact, by ``artifact.load`` held against its manifest or just made.

    Attributes:
        folder: where it is.
        key: hex hash of all that it was made from and by.
        info: what it says of itself.

    Raises:
        ArtifactError: not a bundle.
    """

    def __init__(self, made: Artifact) -> None:
        self.folder, self.key = made.folder, made.key
        try:
            content = json.loads(made.file(BUNDLE_FILE).read_text("utf-8"))
            if not isinstance(content, dict) or "schema" not in content:
                raise ValueError("It has no schema: another version of qnn-sd made it.")
            self.info = Bundle.model_validate(content)
        except (OSError, ValueError, ValidationError) as error:
            raise ArtifactError(
                f"{self.folder} is not a bundle",
                why="; ".join(str(error).splitlines()[:3]),
                hint="Make it with qnn-sd compile.",
            ) from error

    def file(self, component: str) -> Path:
        """Path of a component's ONNX file."""
        return self.folder / self.info.components[component].file

    def session_entries(self, component: str) -> dict[str, str]:
        """Session config entries that a component's file needs: none, unless it wraps somebody else's binary.

        Raises:
            ArtifactError: a file that is said to wrap a binary has more in it.
        """
        if self.info.components[component].wrapped is None:
            return {}
        check_wrapped(self.file(component))
        return dict(ENTRIES)

    @property
    def has_fallbacks(self) -> bool:
        """Whether each context binary has a graph that the CPU can run in its place."""
        parts = self.info.components.values()
        return all(part.fallback is not None for part in parts if part.kind == "context_binary")

    @property
    def is_quantized(self) -> bool:
        """Whether its components are QDQ graphs or were compiled from them."""
        return any(part.kind != "float" for part in self.info.components.values())

    @property
    def precision(self) -> str:
        """The components' bit widths: ``float``, or such as ``w8a16``; several where components differ."""
        schemes = dict.fromkeys(part.scheme or "float" for part in self.info.components.values())
        return "; ".join(scheme.lower() for scheme in schemes)

    def fallback(self, component: str) -> Path:
        """Path of the QDQ graph that the CPU runs where the component's file can't be used.

        Raises:
            ArtifactError: the bundle has none, as one for the CPU.
        """
        name = self.info.components[component].fallback
        if name is None:
            raise ArtifactError(
                f"{self.folder} has no graph of {component} for the CPU",
                why="Only bundles for a SoC carry one.",
                hint="Make the bundle anew with qnn-sd compile.",
            )
        return self.folder / name

    @property
    def tokenizer(self) -> Vocabulary:
        """Its tokenizer's tokens and merges.

        Raises:
            CheckpointError: its files are missing or malformed.
        """
        return read_vocabulary(self.folder / TOKENIZER_FOLDER)
