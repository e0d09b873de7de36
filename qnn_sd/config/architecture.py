"""Which checkpoints a model config is for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from qnn_sd.config.toml_file import StrictModel


class Architecture(StrictModel):
    """What of a checkpoint decides whether a model config's size, prompts and calibration suit it.

    Numbers of layers and channels don't: a model that was distilled from Stable Diffusion 1.5, with fewer
    of both, is prompted and calibrated like it.

    Attributes:
        cross_attention_dim: width of the text embedding that the UNet attends to.
        latent_channels: of the VAE.
        vae_factor: pixels of the image for one of the latent, on a side.
    """

    cross_attention_dim: Annotated[int, Field(ge=1)]
    latent_channels: Annotated[int, Field(ge=1)]
    vae_factor: Annotated[int, Field(ge=1)]

    def same_latents(self, other: Architecture) -> bool:
        """Whether the latents of another one have the same channels and pixels, so that sizes mean the same."""
        return (self.latent_channels, self.vae_factor) == (other.latent_channels, other.vae_factor)

    def __str__(self) -> str:
        side = self.vae_factor
        return (
            f"text {self.cross_attention_dim} wide, {self.latent_channels} latent channels, "
            f"{side}x{side} pixels for one of the latent"
        )
