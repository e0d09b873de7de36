"""Stable Diffusion 1.x's configs (and 2.x's where the text is as wide), for files that bring none; sizes are read off
the tensors.

What a tensor's shape doesn't tell (numbers of heads and groups, the activation) is as in every
checkpoint of Stable Diffusion 1.1 to 1.5 and what was trained from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]

_UNET = {"_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 8, "norm_num_groups": 32}
_VAE = {"_class_name": "AutoencoderKL", "act_fn": "silu", "norm_num_groups": 32, "scaling_factor": 0.18215}
_TEXT_ENCODER = {"model_type": "clip_text_model", "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
_HEAD_SIZE = 64  # of CLIP's text encoders, and of Stable Diffusion 2.x's UNets
# The width that tells Stable Diffusion 2.x: its text encoder is OpenCLIP's, which takes another activation.
SD2_TEXT_WIDTH = 1024

SCHEDULER: Mapping[str, Any] = {
    "_class_name": "PNDMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
}
# As the LCM distilled from Stable Diffusion 1.5 has it (Luo et al. 2023).
LCM_SCHEDULER: Mapping[str, Any] = {
    "_class_name": "LCMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "original_inference_steps": 50,
    "prediction_type": "epsilon",
    "steps_offset": 0,
    "clip_sample": False,
    "set_alpha_to_one": True,
    "timestep_scaling": 10.0,
}


def _numbers(names: Iterable[str], pattern: str) -> list[int]:
    """The different numbers in the pattern's group, in order."""
    return sorted({int(match[1]) for name in names if (match := re.search(pattern, name))})


def unet(shapes: Shapes) -> dict[str, Any]:
    """The config of a UNet with these tensors (diffusers' names).

    Raises:
        KeyError: a tensor that every such UNet has is missing.
    """
    levels = _numbers(shapes, r"^down_blocks\.(\d+)\.resnets\.")
    condition = shapes.get("time_embedding.cond_proj.weight")
    channels = [shapes[f"down_blocks.{level}.resnets.0.conv1.weight"][0] for level in levels]
    width = shapes["mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"][1]
    # diffusers' name for numbers of heads.
    heads = {"attention_head_dim": [max(1, each // _HEAD_SIZE) for each in channels]} if width == SD2_TEXT_WIDTH else {}

    def kind(side: str, level: int, plain: str) -> str:
        attends = f"{side}_blocks.{level}.attentions.0.norm.weight" in shapes
        return f"CrossAttn{plain}" if attends else plain

    return {
        **_UNET,
        **heads,
        "in_channels": shapes["conv_in.weight"][1],
        "out_channels": shapes["conv_out.weight"][0],
        "block_out_channels": channels,
        "down_block_types": [kind("down", level, "DownBlock2D") for level in levels],
        "up_block_types": [kind("up", level, "UpBlock2D") for level in levels],
        "layers_per_block": len(_numbers(shapes, r"^down_blocks\.0\.resnets\.(\d+)\.")),
        "cross_attention_dim": width,
        "use_linear_projection": len(shapes["mid_block.attentions.0.proj_in.weight"]) == 2,
        "time_cond_proj_dim": None if condition is None else condition[1],
    }


def vae(shapes: Shapes) -> dict[str, Any]:
    """The config of a VAE with these tensors (diffusers' names).

    Raises:
        KeyError: a tensor that every such VAE has is missing.
    """
    levels = _numbers(shapes, r"^decoder\.up_blocks\.(\d+)\.")
    channels = [shapes[f"decoder.up_blocks.{level}.resnets.0.conv1.weight"][0] for level in reversed(levels)]
    return {
        **_VAE,
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * len(levels),
        "up_block_types": ["UpDecoderBlock2D"] * len(levels),
        "layers_per_block": len(_numbers(shapes, r"^decoder\.up_blocks\.0\.resnets\.(\d+)\.")) - 1,
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "in_channels": shapes["decoder.conv_out.weight"][0],
        "out_channels": shapes["decoder.conv_out.weight"][0],
    }


def text_encoder(shapes: Shapes) -> dict[str, Any]:
    """The config of a CLIP text encoder with these tensors.

    Raises:
        KeyError: a tensor that every such encoder has is missing.
    """
    prefix = "text_model." if any(name.startswith("text_model.") for name in shapes) else ""
    vocabulary, width = shapes[f"{prefix}embeddings.token_embedding.weight"]
    return {
        **_TEXT_ENCODER,
        **({"hidden_act": "gelu"} if width == SD2_TEXT_WIDTH else {}),
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_attention_heads": max(1, width // _HEAD_SIZE),
        "max_position_embeddings": shapes[f"{prefix}embeddings.position_embedding.weight"][0],
        "num_hidden_layers": len(_numbers(shapes, r"encoder\.layers\.(\d+)\.")),
        "intermediate_size": shapes[f"{prefix}encoder.layers.0.mlp.fc1.weight"][0],
    }
