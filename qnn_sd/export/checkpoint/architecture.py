"""Recognises what isn't Stable Diffusion 1.x, so that it can be named instead of failing somewhere inside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qnn_sd.errors import CheckpointError, UnsupportedModelError

Shapes = Mapping[str, tuple[int, ...]]

_ONLY_SD1 = "Use a checkpoint of Stable Diffusion 1.x's architecture."
# The UNet's input channels that tell what it was trained for, beside the latent's own four.
_BY_CHANNELS = {
    9: "an inpainting model",
    8: "an InstructPix2Pix model",
    7: "an upscaler",
    5: "a depth-to-image model",
}

# Patterns of tensor names, most telling first: what the file is, and what to do.
_FILES: tuple[tuple[str, str, str], ...] = (
    (r"^conditioner\.embedders\.1\.", "an SDXL checkpoint", _ONLY_SD1),
    (r"^conditioner\.embedders\.0\.model\.", "an SDXL refiner", _ONLY_SD1),
    (r"^(model\.diffusion_model\.)?label_emb\.", "a UNet of SDXL's architecture", _ONLY_SD1),
    (r"(^|\.)joint_blocks\.\d", "a Stable Diffusion 3 checkpoint", _ONLY_SD1),
    (r"(^|\.)(double_blocks|single_transformer_blocks)\.\d", "a Flux checkpoint", _ONLY_SD1),
    (
        r"^cond_stage_model\.model\.",
        "a Stable Diffusion 2.x checkpoint",
        "Its text encoder is OpenCLIP's: give the folder of the same model in diffusers' layout.",
    ),
    (r"^(control_model|controlnet_cond_embedding|zero_convs|input_hint_block)\.", "a ControlNet", _ONLY_SD1),
    (r"(^|\.)motion_modules\.", "a motion module of AnimateDiff", _ONLY_SD1),
)
# The same of what may stand inside a whole checkpoint too.
_ADDITIONS: tuple[tuple[str, str, str], ...] = (
    (
        r"^lora_(unet|te)|\.lora_(down|up|A|B)\.|(_|\.)lora\.(down|up)\.|lora_linear_layer\.|\.(hada|lokr)_w\d|\.ia3_l$",
        "a LoRA",
        "Give it with --lora, and a whole checkpoint with --checkpoint.",
    ),
    (
        r"^(emb_params|string_to_param)",
        "a textual-inversion embedding",
        "Give it with --embedding, and a whole checkpoint with --checkpoint.",
    ),
)
_SINGLE_PARTS: tuple[tuple[str, str, str], ...] = (
    (
        r"^(first_stage_model\.)?decoder\.",
        "a VAE alone",
        "Give it with --vae, and a whole checkpoint with --checkpoint.",
    ),
    (
        r"^([\w.]*\.)?(input_blocks|output_blocks|down_blocks|up_blocks)\.",
        "a UNet alone",
        "Give the other two with --text-encoder and --vae, or a whole checkpoint.",
    ),
    (
        r"^(cond_stage_model\.transformer\.)?(text_model|encoder\.layers)\.",
        "a text encoder alone",
        "Give it with --text-encoder, and a whole checkpoint with --checkpoint.",
    ),
    (r"(^|\.)transformer_blocks\.\d", "a diffusion transformer", _ONLY_SD1),
)
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
_DOWN = r"(lora_|lora\.|layer\.)down\.|\.lora_A\."
_CROSS_ATTENTION = r"attn2[._](processor\.)?to_[kv]"
_TEXT_LAYER = r"self_attn[._](to_)?[qkv]|mlp[._]fc1"
_CLASSES = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}


def _unsupported(origin: Path, what: str, why: str, hint: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{origin} is {what}", why=why, hint=hint)


def _find(names: Iterable[str], patterns: Iterable[tuple[str, str, str]]) -> tuple[str, str, str] | None:
    """What a file is, what to do, and the tensor that tells; or None."""
    for pattern, what, hint in patterns:
        for name in names:
            if re.search(pattern, name):
                return what, hint, name
    return None


def refuse_foreign_file(path: Path, shapes: Shapes, is_checkpoint: bool) -> None:
    """Raises for a single file of another architecture.

    Args:
        path: the file.
        shapes: of its tensors.
        is_checkpoint: whether a UNet is in it.

    Raises:
        UnsupportedModelError: naming what it is.
    """
    found = _find(shapes, _FILES if is_checkpoint else (*_FILES, *_ADDITIONS))
    if found:
        what, hint, name = found
        raise _unsupported(path, what, f"It has {name}.", hint)


def foreign_part(path: Path, shapes: Shapes) -> UnsupportedModelError | CheckpointError:
    """The error for a single file without a UNet in the original layout."""
    found = _find(shapes, _SINGLE_PARTS)
    if found:
        what, hint, name = found
        return _unsupported(path, what, f"It has {name}.", hint)
    return CheckpointError(
        f"{path} is no checkpoint that qnn-sd knows",
        why=f"Its first tensors are {', '.join(sorted(shapes)[:3])}." if shapes else "It holds no tensors.",
        hint="Give a folder in diffusers' layout, or a single file in Stable Diffusion's original one.",
    )


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
    name = config.get("_class_name", _CLASSES.get(part))
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


def is_whole_checkpoint(shapes: Shapes) -> bool:
    """Whether a file's tensors are named as those of a checkpoint in the original layout."""
    return any(name.startswith("model.diffusion_model.") for name in shapes)


def lora_kin(shapes: Shapes) -> str | None:
    """The other architecture that a LoRA's tensors look like, or None."""
    patterns = (
        (r"^lora_te2_|^text_encoder_2\.|^lora_unet_(input|output|middle)_block", "SDXL"),
        (r"double_blocks|single_blocks|single_transformer_blocks", "Flux"),
        (r"joint_blocks", "Stable Diffusion 3"),
        (r"^(lora_)?transformer[._]", "a diffusion transformer (Stable Diffusion 3's or Flux's kind)"),
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
