"""Models of diffusers and transformers with random weights, saved as checkpoints to export."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel


@dataclass(frozen=True)
class Architecture:
    """A small checkpoint of the architecture; ``latent`` is height and width in latent pixels."""

    name: str
    unet: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, Any]
    latent: tuple[int, int] = (16, 16)
    extra_inputs: dict[str, int] = field(default_factory=dict)


def _text(width: int, **changes: Any) -> dict[str, Any]:
    return {
        "vocab_size": 200,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu",
        **changes,
    }


ARCHITECTURES = (
    # Stable Diffusion 1.5's layout, narrow: four levels, two layers, one number of heads.
    Architecture(
        "like-sd15",
        {
            "block_out_channels": (32, 64, 64, 64),
            "layers_per_block": 2,
            "cross_attention_dim": 48,
            "attention_head_dim": 4,
            "norm_num_groups": 16,
        },
        {
            "block_out_channels": (16, 32, 32, 32),
            "layers_per_block": 2,
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "norm_num_groups": 8,
        },
        _text(48),
    ),
    # Stable Diffusion 2's way: linear projections, heads as a list; not square; gelu in the text encoder.
    Architecture(
        "like-sd2",
        {
            "block_out_channels": (32, 48, 64),
            "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            "layers_per_block": 1,
            "cross_attention_dim": 64,
            "attention_head_dim": (2, 3, 4),
            "use_linear_projection": True,
            "norm_num_groups": 8,
            "freq_shift": 1,
            "flip_sin_to_cos": False,
        },
        {
            "block_out_channels": (16, 32),
            "layers_per_block": 1,
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "up_block_types": ("UpDecoderBlock2D",) * 2,
            "norm_num_groups": 4,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
        },
        _text(64, hidden_act="gelu", num_hidden_layers=3, num_attention_heads=4),
        (8, 16),
    ),
    # A latent consistency model: guidance as an input; layers and transformer depth per level; gelu.
    Architecture(
        "like-lcm",
        {
            "block_out_channels": (32, 64),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "layers_per_block": (1, 2),
            "transformer_layers_per_block": (1, 2),
            "cross_attention_dim": 32,
            "attention_head_dim": (2, 4),
            "time_cond_proj_dim": 24,
            "act_fn": "gelu",
            "norm_num_groups": 32,
            "time_embedding_dim": 96,
        },
        {
            "block_out_channels": (32,),
            "layers_per_block": 1,
            "norm_num_groups": 32,
            "mid_block_add_attention": False,
            "latent_channels": 8,
        },
        _text(32),
        extra_inputs={"timestep_cond": 24},
    ),
    # mish and swish, two levels without attention in between.
    Architecture(
        "odd-activations",
        {
            "block_out_channels": (24, 48, 48),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "layers_per_block": 1,
            "cross_attention_dim": 40,
            "attention_head_dim": 8,
            "act_fn": "mish",
            "norm_num_groups": 12,
            "norm_eps": 1e-4,
        },
        {
            "block_out_channels": (24, 48),
            "layers_per_block": 1,
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "up_block_types": ("UpDecoderBlock2D",) * 2,
            "norm_num_groups": 12,
            "act_fn": "swish",
        },
        _text(40, layer_norm_eps=1e-4),
    ),
)

# What no tensor's shape tells is as in Stable Diffusion 1.x: 32 groups, 8 heads, quick_gelu, CLIP's head
# size. A single file of it needs no config.
LIKE_SD15_WIDE = Architecture(
    "like-sd15-wide",
    {
        "block_out_channels": (32, 64, 64, 64),
        "layers_per_block": 2,
        "cross_attention_dim": 64,
        "attention_head_dim": 8,
        "norm_num_groups": 32,
    },
    {
        "block_out_channels": (32, 32, 64, 64),
        "layers_per_block": 2,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "norm_num_groups": 32,
    },
    # As many tokens as the demo's tokenizer has, or more.
    _text(64, num_attention_heads=1, vocab_size=640),
    (8, 8),
)


# Stable Diffusion 1.5 itself: what differs from the classes' defaults.
SD15 = Architecture(
    "sd15",
    {"cross_attention_dim": 768, "sample_size": 64},
    {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
    },
    {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
    },
    (64, 64),
)


@dataclass
class ReferenceModels:
    """The reference implementation of a checkpoint's networks, in evaluation mode."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel

    @classmethod
    def load(cls, folder: Path) -> ReferenceModels:
        """From a folder in diffusers' layout."""
        return cls(
            UNet2DConditionModel.from_pretrained(folder / "unet").eval(),
            AutoencoderKL.from_pretrained(folder / "vae").eval(),
            CLIPTextModel.from_pretrained(folder / "text_encoder").eval(),
        )


def save_random(architecture: Architecture, folder: Path, seed: int = 0) -> ReferenceModels:
    """Saves a checkpoint with random weights, norms and biases included, and returns its models."""
    torch.manual_seed(seed)
    unet_config = {"in_channels": architecture.vae.get("latent_channels", 4), **architecture.unet}
    unet_config["out_channels"] = unet_config["in_channels"]
    models = ReferenceModels(
        UNet2DConditionModel(**unet_config).eval(),
        AutoencoderKL(**architecture.vae).eval(),
        CLIPTextModel(CLIPTextConfig(**architecture.text)).eval(),
    )
    with torch.no_grad():
        for model in (models.unet, models.vae, models.text_encoder):
            for name, parameter in model.named_parameters():
                if "norm" in name or name.endswith("bias"):
                    # As created these are ones and zeros, which would hide a swapped or lost one.
                    parameter.add_(0.2 * torch.randn_like(parameter))
    models.unet.save_pretrained(folder / "unet")
    models.vae.save_pretrained(folder / "vae")
    models.text_encoder.save_pretrained(folder / "text_encoder")
    return models
