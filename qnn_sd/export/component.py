"""Exports one component of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnn_sd.errors import SettingError
from qnn_sd.export.checkpoint import Checkpoint, TensorSource
from qnn_sd.export.checkpoint.parts import PART_OF
from qnn_sd.export.graph import Graph
from qnn_sd.export.text_encoder import TextEncoderBuilder
from qnn_sd.export.unet import UnetBuilder
from qnn_sd.export.vae import VaeBuilder

# The tensors beside a component's own that belong to another.
_OF_OTHERS = {
    # Old files keep the position indices, which are no weights.
    "text_encoder": ("text_model.embeddings.position_ids", "embeddings.position_ids", "text_projection."),
    "unet": (),
    "vae_decoder": ("encoder.", "quant_conv."),
    "vae_encoder": ("decoder.", "post_quant_conv."),
}


@dataclass(frozen=True)
class ModelMetadata:
    """What the generation loop must know of a checkpoint.

    Attributes:
        factor: pixels per latent pixel along one side.
        latent_channels: of the latent.
        scaling_factor: what latents were multiplied with in training.
        tokens: length of a prompt.
        time_cond_proj_dim: width of the guidance embedding (LCM checkpoints), or None.
    """

    factor: int
    latent_channels: int
    scaling_factor: float
    tokens: int
    time_cond_proj_dim: int | None


def model_metadata(checkpoint: Checkpoint) -> ModelMetadata:
    """Reads the metadata off the networks' configs.

    Raises:
        UnsupportedModelError: a config asks for something that isn't built.
    """
    vae = VaeBuilder(checkpoint.config("vae"))
    return ModelMetadata(
        vae.factor,
        vae.options["latent_channels"],
        vae.options["scaling_factor"],
        TextEncoderBuilder(checkpoint.config("text_encoder")).tokens,
        UnetBuilder(checkpoint.config("unet")).options["time_cond_proj_dim"],
    )


def export_component(checkpoint: Checkpoint, component: str, height: int, width: int, folder: Path) -> dict[str, Any]:
    """Writes a component's float graph to ``folder``.

    Args:
        checkpoint: an open one.
        component: ``text_encoder``, ``unet``, ``vae_decoder`` or ``vae_encoder``.
        height: of the image, in pixels.
        width: of the image, in pixels.
        folder: existing empty folder.

    Returns:
        Facts for the manifest.

    Raises:
        CheckpointError: files that are missing, damaged or don't fit each other.
        UnsupportedModelError: a config that asks for something that isn't built.
        SettingError: a size that the architecture can't have.
    """
    weights = checkpoint.weights(component)
    metadata = model_metadata(checkpoint)
    if height % metadata.factor or width % metadata.factor:
        raise SettingError(
            f"An image of {width}x{height} doesn't fit this VAE",
            why=f"It makes latents of one pixel for every {metadata.factor}.",
            hint=f"Choose a size in steps of {metadata.factor} pixels.",
        )
    latent = height // metadata.factor, width // metadata.factor
    write(component, checkpoint.config(PART_OF[component]), weights, *latent, metadata.tokens, folder)
    weights.refuse_unread(_OF_OTHERS[component])
    return {"height": height, "width": width}


def write(
    component: str,
    config: Mapping[str, Any],
    weights: TensorSource,
    latent_height: int,
    latent_width: int,
    tokens: int,
    folder: Path,
) -> None:
    """Writes a component's float graph from any source of tensors.

    Args:
        config: the component's parsed ``config.json``.
        latent_height: in latent pixels.
        latent_width: in latent pixels.
        tokens: of the text embedding; the UNet's alone.
    """
    with Graph(component, folder) as g:
        if component == "text_encoder":
            TextEncoderBuilder(config).build(g, weights)
        elif component == "unet":
            UnetBuilder(config).build(g, weights, latent_height, latent_width, tokens)
        elif component == "vae_decoder":
            VaeBuilder(config).build_decoder(g, weights, latent_height, latent_width)
        else:
            VaeBuilder(config).build_encoder(g, weights, latent_height, latent_width)
