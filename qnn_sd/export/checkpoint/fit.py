"""What a checkpoint's configs say of its architecture, or its tensors' shapes where no config does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from qnn_sd.config import Architecture
from qnn_sd.export.checkpoint.parts import Layout, Part

# diffusers' own, of a config that doesn't say it.
_LATENT_CHANNELS = 4
_CROSS_ATTENTION_DIM = 1280
_KEYS = re.compile(r"\.attn2\.to_k\.weight$")
_LEVEL = re.compile(r"^decoder\.up_blocks\.(\d+)\.")


def architecture_of(parts: Mapping[str, Part]) -> Architecture:
    """What decides which model config suits a checkpoint.

    Args:
        parts: its networks.
    """
    latent_channels, factor = vae_architecture(parts["vae"])
    return Architecture(
        cross_attention_dim=text_width(parts["unet"]), latent_channels=latent_channels, vae_factor=factor
    )


def text_width(unet: Part) -> int:
    """Width of the text that a UNet attends to."""
    widths = (tensor.shape[1] for name, tensor in unet.tensors.items() if _KEYS.search(name) and len(tensor.shape) > 1)
    return _first_count(unet.config.get("cross_attention_dim"), *widths, _CROSS_ATTENTION_DIM)


def vae_architecture(vae: Part) -> tuple[int, int]:
    """Channels of a VAE's latent, and pixels of the image for one of the latent, on a side."""
    stored = vae.tensors.get("decoder.conv_in.weight")
    channels = stored.shape[1] if stored is not None and len(stored.shape) > 1 else None
    blocks = vae.config.get("block_out_channels")
    levels = len(blocks) if isinstance(blocks, list) else len({m[1] for m in map(_LEVEL.match, vae.tensors) if m})
    return _first_count(vae.config.get("latent_channels"), channels, _LATENT_CHANNELS), 2 ** max(levels - 1, 0)


def own_size(layout: Layout) -> tuple[int, int] | None:
    """Width and height in pixels of the images that a checkpoint was trained on, if its config says it."""
    size = layout.parts["unet"].config.get("sample_size")
    # diffusers writes one number for a square, or height and width.
    sides: list[Any] = size if isinstance(size, list) else [size, size]
    factor = vae_architecture(layout.parts["vae"])[1]
    pixels = [side * factor for side in sides if _is_count(side)]
    return (pixels[1], pixels[0]) if len(pixels) == 2 else None


def told_by(layout: Layout) -> str:
    """Where the architecture was read: configs, or shapes; a single file's configs are made from these."""
    configured = layout.origin.is_dir() and _is_count(layout.parts["unet"].config.get("cross_attention_dim"))
    return "the checkpoint's config files" if configured else "the checkpoint's shapes"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _first_count(*values: Any) -> int:
    """The first that is a count."""
    found: Iterable[int] = (value for value in values if _is_count(value))
    return next(iter(found))
