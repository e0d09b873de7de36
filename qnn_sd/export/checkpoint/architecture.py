"""Recognises what isn't Stable Diffusion 1.x, so that it can be named instead of failing somewhere inside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qnn_sd.errors import UnsupportedModelError

Shapes = Mapping[str, tuple[int, ...]]

_ONLY_SD1 = "Use a checkpoint of Stable Diffusion 1.x's architecture."
# The UNet's input channels that tell what it was trained for, beside the latent's own four.
_BY_CHANNELS = {
    9: "an inpainting model",
    8: "an InstructPix2Pix model",
    7: "an upscaler",
    5: "a depth-to-image model",
}

_PIPELINES: tuple[tuple[str, str], ...] = (
    ("StableDiffusionXL", "an SDXL checkpoint"),
    ("StableDiffusion3", "a Stable Diffusion 3 checkpoint"),
    ("Flux", "a Flux checkpoint"),
    ("StableDiffusionInpaint", "an inpainting model"),
    ("StableDiffusionInstructPix2Pix", "an InstructPix2Pix model"),
    ("StableDiffusionDepth2Img", "a depth-to-image model"),
    ("StableDiffusionUpscale", "an upscaler"),
    ("StableDiffusionLatentUpscale", "an upscaler"),
    ("StableDiffusionControlNet", "a ControlNet pipeline"),
    ("PixArt", "a PixArt checkpoint"),
    ("Kandinsky", "a Kandinsky checkpoint"),
    ("StableCascade", "a Stable Cascade checkpoint"),
)
# Names in LoRAs of what takes the text embedding.
_DOWN = r"(lora_|lora\.|layer\.)down\.|\.lora_A(\.|$)|\.hada_w1_b$"
_CROSS_ATTENTION = r"attn2[._](processor\.)?to_[kv]"
_TEXT_LAYER = r"self_attn[._](to_)?[qkv]|mlp[._]fc1"
_CLASSES = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}


def _unsupported(origin: Path, what: str, why: str, hint: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{origin} is {what}", why=why, hint=hint)


def refuse_foreign_pipeline(origin: Path, index: Mapping[str, Any]) -> None:
    """Raises for a folder whose ``model_index.json`` names a pipeline of another architecture.

    Raises:
        UnsupportedModelError: naming what it is.
    """
    name = str(index.get("_class_name", ""))
    for start, what in _PIPELINES:
        if name.startswith(start):
            raise _unsupported(origin, what, f"Its model_index.json says {name}.", _ONLY_SD1)


def refuse_foreign_config(part: str, origin: Path, config: Mapping[str, Any]) -> None:
    """Raises for a network of another class than Stable Diffusion's.

    Raises:
        UnsupportedModelError: naming its class.
    """
    name = config.get("_class_name") or _CLASSES.get(part)
    if name != _CLASSES.get(part):
        raise _unsupported(origin, f"of the class {name}", f"qnn-sd builds {_CLASSES[part]} there.", _ONLY_SD1)


def refuse_other_tasks(origin: Path, unet: Mapping[str, Any], vae: Mapping[str, Any]) -> None:
    """Raises for a UNet that takes more than the latent: an inpainting model, say.

    Raises:
        UnsupportedModelError: naming what it was trained for.
    """
    channels, latent = unet.get("in_channels", 4), vae.get("latent_channels", 4)
    if unet.get("addition_embed_type") == "text_time":
        raise _unsupported(origin, "a UNet of SDXL's architecture", "Its addition_embed_type is text_time.", _ONLY_SD1)
    # What is no number at all is the config reader's to refuse.
    if isinstance(channels, int) and isinstance(latent, int) and channels != latent:
        what = _BY_CHANNELS.get(channels, "for another task") if latent == 4 else "for another VAE"
        why = f"Its UNet takes {channels} channels, the VAE's latent has {latent}."
        raise _unsupported(origin, what, why, "Use a checkpoint for text to image.")


def lora_kin(shapes: Shapes) -> str | None:
    """The other architecture that a LoRA's tensors look like, or None."""
    patterns = (
        (r"^lora_te2_|^text_encoder_2\.", "SDXL"),
        (r"motion_modules\.", "AnimateDiff's motion modules"),
        (r"(^|\.)vision_model\.", "CLIP's image encoder"),
        (r"(^|\.)model\.layers\.\d", "a language model"),
        (r"(^|\.)blocks\.\d+\.(self|cross)_attn\.", "a video model (Wan's kind)"),
        (r"double_blocks|single_blocks|single_transformer_blocks", "Flux"),
        (r"joint_blocks", "Stable Diffusion 3"),
        (r"^(lora_)?transformer[._]", "a diffusion transformer (Stable Diffusion 3's or Flux's kind)"),
        # Each of the others' attentions has one block. The code that a name is spelled after tells nothing.
        (r"(attentions|(in|out)put_blocks|middle_block)[._]\S*transformer_blocks[._][1-9]", "SDXL"),
    )
    for pattern, kin in patterns:
        if any(re.search(pattern, name) for name in shapes):
            return kin
    widths = lora_text_widths(shapes)
    return "SDXL" if 2048 in widths else "Stable Diffusion 2.x" if 1024 in widths else None


def lora_text_widths(shapes: Shapes) -> set[int]:
    """Widths of the text that a LoRA was made for: what its cross-attention takes, or its text encoder's layers."""
    downs = {name: shape[1] for name, shape in shapes.items() if re.search(_DOWN, name) and len(shape) > 1}
    for pattern in (_CROSS_ATTENTION, _TEXT_LAYER):
        widths = {width for name, width in downs.items() if re.search(pattern, name)}
        if widths:
            return widths
    return set()
