"""What ``qnn-sd run`` writes into an image: the JSON document, the same in lines for people, and other tools' chunk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from qnn_sd import __version__, qnn_provider
from qnn_sd.artifact import sha256_of_file
from qnn_sd.bundle_manifest import Bundle, OpenBundle
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.guidance_interval import interval_text
from qnn_sd.config import Rounding
from qnn_sd.errors import RuntimeLibraryError
from qnn_sd.export.checkpoint.prediction import kind_in
from qnn_sd.generate import Request
from qnn_sd.generate.guidance import ALL_STEPS
from qnn_sd.image_metadata import (
    DOCUMENT,
    ImageDocument,
    ImageEmbedding,
    ImageFallback,
    ImageLora,
    ImageQuantization,
    ImageSource,
    TargetKind,
    VerifiedComponent,
    plain_text,
)
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.runner import Fallback
from qnn_sd.runtime_libraries import qairt_version_of
from qnn_sd.schemas import ImageSize
from qnn_sd.webui_parameters import PARAMETERS, written_parameters


def versions_here(bundle: OpenBundle | None = None) -> dict[str, str]:
    """Versions of what makes an image, by name.

    Args:
        bundle: whose context binaries run; None before there is one.
    """
    found = {"qnn-sd": __version__, **qnn_provider.versions()}
    if bundle is not None and bundle.info.soc is not None:
        # A binary that doesn't say it runs all the same.
        with suppress(RuntimeLibraryError):
            found["qairt"] = qairt_version_of(bundle.file(next(iter(bundle.info.components))))
    return found


def image_document(
    pipeline: BuildPipeline,
    build_request: BuildRequest,
    request: Request,
    bundle: OpenBundle,
    target: TargetKind,
    fallbacks: Sequence[Fallback],
    phone_soc: str | None = None,
) -> ImageDocument:
    """What makes the first of a request's images.

    Args:
        pipeline: that the bundle is from.
        build_request: what was told to build it.
        request: what is generated.
        bundle: whose components run.
        target: where.
        fallbacks: the components that run elsewhere.
        phone_soc: what a phone reports that gets another SoC's binaries; else None.
    """
    identity, info = pipeline.identity, bundle.info
    origin = _Origin(
        identity.checkpoint,
        identity.vae,
        pipeline.tokenizer_sha256,
        list(identity.loras),
        list(identity.embeddings),
        _quantization(pipeline, build_request, info) if bundle.is_quantized else None,
        text_encoder=identity.text_encoder,
        prediction=kind_in(pipeline.checkpoint.scheduler),
        clip_skip=pipeline.checkpoint.clip_skip,
    )
    return _document(origin, request, bundle, target, fallbacks, phone_soc)


def bundle_image_document(
    request: Request,
    bundle: OpenBundle,
    target: TargetKind,
    fallbacks: Sequence[Fallback],
    phone_soc: str | None = None,
) -> ImageDocument:
    """What makes the first of a request's images with a bundle that was named; the arguments as ``image_document``."""
    info = bundle.info
    if info.published is None:
        checkpoint = ImageSource(name=info.model, kind="bundle", sha256=bundle.key)
    else:
        checkpoint = ImageSource(name=info.published.file, kind="published", sha256=info.published.sha256)
    vae = checkpoint.model_copy(update={"kind": "checkpoint"})
    quantization = _quantized(info, None, {}, None) if bundle.is_quantized else None
    # Of LoRAs and embeddings a bundle doesn't tell where they came from, of its text encoder not which layer answers.
    origin = _Origin(checkpoint, vae, bundle.tokenizer.sha256, [], [], quantization)
    return _document(origin, request, bundle, target, fallbacks, phone_soc)


@dataclass(frozen=True)
class _Origin:
    """What a bundle was made from, as an image says it."""

    checkpoint: ImageSource
    vae: ImageSource
    tokenizer: str
    loras: list[ImageLora]
    embeddings: list[ImageEmbedding]
    quantization: ImageQuantization | None
    text_encoder: ImageSource | None = None
    prediction: Literal["epsilon", "v"] | None = None
    clip_skip: int | None = None


def _document(
    origin: _Origin,
    request: Request,
    bundle: OpenBundle,
    target: TargetKind,
    fallbacks: Sequence[Fallback],
    phone_soc: str | None,
) -> ImageDocument:
    info = bundle.info
    return ImageDocument(
        prompt=plain_text(request.prompt),
        negative_prompt=plain_text(request.negative),
        seed=request.seed,
        steps=request.steps,
        scheduler=request.scheduler,
        guidance=float(request.guidance),
        size=ImageSize(width=info.width, height=info.height),
        model=info.model,
        checkpoint=origin.checkpoint,
        vae=origin.vae,
        text_encoder=origin.text_encoder,
        prediction=origin.prediction,
        tokenizer=origin.tokenizer,
        loras=origin.loras,
        embeddings=origin.embeddings,
        plain_prompt=request.plain,
        prompt_chunks=info.prompt_chunks,
        clip_skip=origin.clip_skip,
        target=target,
        soc=info.soc,
        phone_soc=phone_soc,
        guidance_interval=None if request.guidance_interval == ALL_STEPS else request.guidance_interval,
        quantization=origin.quantization,
        fallbacks=[
            ImageFallback(component=each.component, target="phone CPU" if target == "phone" else each.target)
            for each in fallbacks
        ],
        build=bundle.key,
        versions=versions_here(bundle),
    )


def _quantization(pipeline: BuildPipeline, build_request: BuildRequest, info: Bundle) -> ImageQuantization:
    given = {name: sha256_of_file(path) for name, path in pipeline.encodings.items() if name in info.components}
    prompts = None if build_request.prompts is None else sha256_of_file(build_request.prompts)
    return _quantized(info, pipeline.rounding, given, prompts)


def _quantized(
    info: Bundle, rounding: Rounding | None, encodings: dict[str, str], prompts: str | None
) -> ImageQuantization:
    verification = None
    if info.verification is not None:
        verification = {
            name: VerifiedComponent(
                qdq_against_float_db=each.qdq_against_float.worst_db,
                binary_against_qdq_db=None if each.binary_against_qdq is None else each.binary_against_qdq.worst_db,
            )
            for name, each in info.verification.items()
        }
    return ImageQuantization(
        schemes={name: part.scheme or "float" for name, part in info.components.items()},
        rounding=rounding,
        encodings=encodings,
        prompts=prompts,
        verification=verification,
    )


def text_chunks(made: ImageDocument, bundle: OpenBundle) -> dict[str, str]:
    """The image's text chunks by keyword: lines for people, then what programs read.

    Args:
        made: what made the image.
        bundle: whose components ran.
    """
    # ASCII alone: so it stands in the plainest chunk, which every reader knows.
    document = json.dumps(made.content, ensure_ascii=True)
    return {**_for_people(made, bundle), PARAMETERS: written_parameters(made), DOCUMENT: document}


def _for_people(made: ImageDocument, bundle: OpenBundle) -> Mapping[str, str]:
    quantization = made.quantization
    given = "none" if quantization is None else ", ".join(quantization.encodings) or "none"
    versions = {name: number for name, number in made.versions.items() if name != "qnn-sd"}
    return {
        "prompt": made.prompt,
        "negative_prompt": made.negative_prompt,
        "steps": str(made.steps),
        "guidance": str(made.guidance),
        **({"guidance_interval": interval_text(made.guidance_interval)} if made.guidance_interval else {}),
        "scheduler": made.scheduler,
        "seed": str(made.seed),
        "size": f"{made.size.width}x{made.size.height}",
        "model": made.model,
        "checkpoint": f"{made.checkpoint.name} ({made.checkpoint.sha256[:10]})",
        "vae": f"{made.vae.name} ({made.vae.sha256[:10]})" if made.vae.kind != "checkpoint" else "the checkpoint's",
        "loras": ", ".join(f"{each.name}:{each.scale:g} ({each.sha256[:10]})" for each in made.loras) or "none",
        "embeddings": ", ".join(f"{each.name} ({each.sha256[:10]})" for each in made.embeddings) or "none",
        "prompt_syntax": "plain text" if made.plain_prompt else "weights, BREAK, tags",
        "prompt_chunks": str(made.prompt_chunks),
        "clip_skip": str(made.clip_skip or "unknown"),
        "target": made.target,
        "soc": made.soc.name if made.soc else "none",
        **({"phone_soc": made.phone_soc} if made.phone_soc else {}),
        "htp": f"v{made.soc.htp_arch}" if made.soc else "none",
        "fallbacks": ", ".join(f"{each.component}: {each.target}" for each in made.fallbacks) or "none",
        "precision": bundle.precision,
        "rounding": (quantization.rounding or "unknown") if quantization else "none",
        "given_encodings": given,
        "verified": bundle.info.verified,
        "software": f"qnn-sd {made.versions['qnn-sd']}",
        **versions,
    }
