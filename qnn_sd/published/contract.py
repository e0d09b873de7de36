"""The inputs and outputs of AI Hub Models' Stable Diffusion, and what of our components' they are.

Read in the package ``qai_hub_models`` 0.65.0, ``models/templates/diffusion/stable_diffusion.py``: latents are channel
last, the VAE divides by the scaling factor itself, and its image is clipped to 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# What a bundle of them says that latents were multiplied with: the loop divides by it, and the VAE does so again.
SCALING_FACTOR = 1.0
NAME = "AI Hub Models"


@dataclass(frozen=True)
class TensorContract:
    """An input or output.

    Attributes:
        published: its name in the binary.
        own: its name in our component.
        channels: of a map, whatever the layout; None for what is no map.
        axes: how many dims our component has.
        multiply: what an output is multiplied with, to have our component's range.
        add: what is added then.
    """

    published: str
    own: str
    axes: int
    channels: int | None = None
    multiply: float = 1.0
    add: float = 0.0


@dataclass(frozen=True)
class ComponentContract:
    """A component.

    Attributes:
        files: names that its binary has, without the suffix.
        inputs: in no particular order.
        outputs: likewise.
    """

    files: tuple[str, ...]
    inputs: tuple[TensorContract, ...]
    outputs: tuple[TensorContract, ...]


CONTRACTS: Mapping[str, ComponentContract] = {
    "text_encoder": ComponentContract(
        ("text_encoder",),
        (TensorContract("tokens", "input_ids", 2),),
        (TensorContract("text_embedding", "last_hidden_state", 3),),
    ),
    "unet": ComponentContract(
        ("unet",),
        (
            TensorContract("latent", "sample", 4, channels=4),
            TensorContract("timestep", "timestep", 1),
            TensorContract("text_emb", "encoder_hidden_states", 3),
        ),
        (TensorContract("output_latent", "noise_pred", 4, channels=4),),
    ),
    "vae_decoder": ComponentContract(
        ("vae", "vae_decoder"),
        (TensorContract("latent", "latent", 4, channels=4),),
        # From 0..1 to -1..1.
        (TensorContract("image", "sample", 4, channels=3, multiply=2.0, add=-1.0),),
    ),
}
