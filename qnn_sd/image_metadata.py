"""What an image says of how it was made: the JSON document in its metadata, which ``qnn-sd run --like`` reads again.

It goes out with the image, so it names no path, no machine, no user and no phone's serial number: files by their own
names alone, phones by their SoC.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from qnn_sd.bundle_manifest import Soc
from qnn_sd.config import Rounding, StrictModel
from qnn_sd.schemas import Document, ImageSize

SourceKind = Literal["kit", "hub", "file", "folder", "checkpoint", "published", "bundle"]
TargetKind = Literal["cpu", "emulator", "phone", "hub"]
# The text chunk with the document.
DOCUMENT = "qnn-sd"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
# One of its files, too.
_ON_HUB = re.compile(rf"{_HUB_ID.pattern}(/[A-Za-z0-9][\w. -]*)*", re.ASCII)


def _plain_name(name: str) -> str:
    """A name that leads nowhere and that a terminal can show: images come from strangers."""
    if not name or not name.isprintable() or len(name) > 255:
        raise ValueError("not a file's name")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"{name} is a path, not a file's name")
    return name


def plain_text(text: str) -> str:
    """Text as Unicode has it: a lone surrogate, from a shell's undecodable bytes, becomes a question mark.

    The tokenizer reads it the same way.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


Name = Annotated[str, AfterValidator(_plain_name)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ImageSource(StrictModel):
    """A checkpoint or a VAE.

    Attributes:
        name: a file's or folder's own name without the path to it; the hub id, or a file there.
        kind: where it is from. ``kit`` is what the project brings; ``checkpoint`` is a VAE that the checkpoint has;
            ``published`` is a file of context binaries that somebody else compiled; ``bundle`` is a bundle that was
            named, which doesn't say what it was built from.
        sha256: of a file; of a folder, of the hashes of its weights and of its configs; of a bundle its key.
    """

    name: str
    kind: SourceKind
    sha256: Hash

    @model_validator(mode="after")
    def _name_leads_nowhere(self) -> Self:
        _check_name(self.name, self.kind)
        return self


def _check_name(name: str, kind: SourceKind) -> None:
    if kind != "hub":
        _plain_name(name)
    elif not _ON_HUB.fullmatch(name):
        raise ValueError(f"{name!r} is no hub id")


class ImageLora(StrictModel):
    """A LoRA that was merged into the weights.

    Attributes:
        name: of its file or folder; the hub id, or a file there.
        kind: where it is from.
        sha256: of the file; of a folder with several, of their hashes.
        tensors_sha256: of the file without its header, which other tools call its hash.
        scale: what it was multiplied with.
    """

    name: str
    kind: SourceKind = "file"
    sha256: Hash
    tensors_sha256: Hash
    scale: float

    @model_validator(mode="after")
    def _name_leads_nowhere(self) -> Self:
        _check_name(self.name, self.kind)
        return self


class ImageEmbedding(StrictModel):
    """A textual inversion.

    Attributes:
        name: what the prompt calls it.
        file: name of its file or folder; the hub id, or a file there.
        kind: where it is from.
        sha256: of the file.
    """

    name: str
    file: str
    kind: SourceKind = "file"
    sha256: Hash

    @model_validator(mode="after")
    def _file_leads_nowhere(self) -> Self:
        _check_name(self.file, self.kind)
        return self


class VerifiedComponent(StrictModel):
    """The worst SQNR of a component's verification, in dB.

    Attributes:
        qdq_against_float_db: of its QDQ graph against the float model, at the model's default guidance.
        binary_against_qdq_db: of its context binary against the QDQ graph; null where no binary ran.
    """

    qdq_against_float_db: float
    binary_against_qdq_db: float | None


class ImageQuantization(StrictModel):
    """How the graphs were quantized.

    Attributes:
        schemes: bit widths by component, such as ``W8A16``.
        rounding: of the weights whose ranges were measured; null where a bundle was named, which doesn't say it.
        encodings: SHA-256 of the encodings that were given, by component; those of the others were measured.
        prompts: SHA-256 of the prompts that were calibrated with; null for the model's own.
        verification: by component; null if verifying was switched off.
    """

    schemes: dict[str, str]
    rounding: Rounding | None
    encodings: dict[str, Hash]
    prompts: Hash | None
    verification: dict[str, VerifiedComponent] | None


class ImageFallback(StrictModel):
    """A component that the target couldn't load, and that ran elsewhere.

    Attributes:
        component: its name.
        target: where it ran.
    """

    component: str
    target: str


class ImageDocument(Document):
    """What made an image: the text chunk ``qnn-sd`` of its PNG file.

    Attributes:
        prompt: what it shows.
        negative_prompt: what it keeps away from; empty if there was none.
        seed: of its noise.
        steps: sampling steps.
        scheduler: the sampler.
        guidance: scale of classifier-free guidance; 1 is none.
        guidance_interval: fractions of the sampling steps between which it was guided; null for all steps.
        size: of the image.
        model: name of the model config.
        checkpoint: whose text encoder and UNet ran.
        vae: whose decoder ran.
        text_encoder: the one that ran instead of the checkpoint's; null for the checkpoint's own.
        prediction: what the UNet predicts, as the user or files say, which the checkpoint's hash may not cover; null
            for a bundle that was named, and in older images where the user didn't say it.
        tokenizer: SHA-256 of the tokenizer's content.
        loras: in the order in which they were merged.
        embeddings: textual inversions.
        plain_prompt: whether marks in the prompts, such as ``(word:1.3)``, were words, as they always were at first.
        prompt_chunks: chunks of text that the UNet took.
        clip_skip: the text encoder's layer that answered, from the last; 1 is the last one; null for a bundle that was
            named, which doesn't tell it.
        target: where components ran.
        soc: whose context binaries ran; null for the CPU's graphs.
        phone_soc: the phone's own, as it reports it, where the binaries are another SoC's; else null.
        quantization: null for float graphs.
        fallbacks: the components that ran elsewhere.
        build: key of the bundle: hash of all that it was made from and by.
        versions: of qnn-sd, ONNX Runtime, its QNN plugin and, of context binaries, QAIRT.
    """

    schema_id: Literal["qnn-sd/image/1"] = Field("qnn-sd/image/1", alias="schema")
    prompt: str
    negative_prompt: str
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    steps: int
    scheduler: str
    guidance: float
    size: ImageSize
    model: Name
    checkpoint: ImageSource
    vae: ImageSource
    text_encoder: ImageSource | None = None
    prediction: Literal["epsilon", "v"] | None = None
    tokenizer: Hash
    loras: list[ImageLora]
    embeddings: list[ImageEmbedding]
    plain_prompt: bool = True
    prompt_chunks: Annotated[int, Field(ge=1)] = 1
    clip_skip: Annotated[int, Field(ge=1)] | None = 1
    target: TargetKind
    soc: Soc | None
    phone_soc: Name | None = None
    guidance_interval: tuple[float, float] | None = None
    quantization: ImageQuantization | None
    fallbacks: list[ImageFallback]
    build: Hash
    versions: dict[str, str]
