"""Stable Diffusion 1.5's networks with random weights: full size, no checkpoint needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qnn_sd.export import GraphSize, write_graph
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.pipeline.components import EXPORTS

_VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
}
# What differs from the defaults of diffusers' and transformers' classes.
CONFIGS: dict[str, dict[str, Any]] = {
    "text_encoder": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "unet": {"cross_attention_dim": 768},
    "vae_decoder": _VAE,
    "vae_encoder": _VAE,
}
TOKENS = 77


def write_random(component: str, folder: Path, height: int = 512, width: int = 512) -> RandomTensors:
    """Writes a component's float graph and returns where its weights came from (seed 0).

    Args:
        component: one of ``CONFIGS``.
        folder: existing empty folder.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """
    weights = RandomTensors(0)
    write_graph(EXPORTS[component], CONFIGS[component], weights, GraphSize(height // 8, width // 8, TOKENS), folder)
    return weights
