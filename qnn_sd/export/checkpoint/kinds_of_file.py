"""What a safetensors file is, by the names of its tensors: to name what was given instead of what was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from qnn_sd.errors import CheckpointError, UnsupportedModelError

Shapes = Mapping[str, tuple[int, ...]]
# A pattern of tensor names, what a file with such a tensor is, and the option that takes it; None for none.
Row = tuple[str, str, str | None]

_ONLY_SD1 = "Use a checkpoint of Stable Diffusion 1.x's architecture."
_SD2 = "a Stable Diffusion 2.x checkpoint"
_UNET, _TEXT_ENCODER = "a UNet alone", "a text encoder alone"
# Most telling first. The first table's are of no use, even beside a UNet.
_FOREIGN: tuple[Row, ...] = (
    (r"^conditioner\.embedders\.1\.", "an SDXL checkpoint", None),
    (r"^conditioner\.embedders\.0\.model\.", "an SDXL refiner", None),
    (r"(^|\.)(label_emb|add_embedding)\.", "a UNet of SDXL's architecture", None),
    (r"(^|\.)joint_blocks\.\d", "a Stable Diffusion 3 checkpoint", None),
    (r"(^|\.)(double_blocks|single_transformer_blocks)\.\d", "a Flux checkpoint", None),
    (r"^cond_stage_model\.model\.(?!transformer\.text_model\.)", _SD2, None),
    (r"^(control_model|controlnet_cond_embedding|zero_convs|input_hint_block)\.", "a ControlNet", None),
    (r"(^|\.)motion_modules\.", "a motion module of AnimateDiff", None),
)
# What may stand inside a whole checkpoint too.
_ADDITIONS: tuple[Row, ...] = (
    (
        r"^lora_(unet|te)|\.lora_(down|up|A|B)(\.|$)|(_|\.)lora\.(down|up)\.|lora_linear_layer\.|\.(hada|lokr)_w\d"
        r"|\.ia3_l$",
        "a LoRA",
        "--lora",
    ),
    (r"^(emb_params|string_to_param|clip_[lg]$)", "a textual-inversion embedding", "--embedding"),
)
_OTHERS: tuple[Row, ...] = (
    (r"^(ip_adapter|image_proj)\.|\.to_[kv]_ip\.", "an IP-Adapter", None),
    (r"^(adapter\.)?body\.\d+\.(resnets|block\d|in_conv)", "a T2I-Adapter", None),
    (r"\.(RDB|rdb)\d\.|^conv_first\.", "an upscaler of images", None),
    (r"^(\d+\.){2,}linear\.|^\d{3,4}\.\d\.", "a hypernetwork", None),
    (r"^(taesd_)?decoder\.(layers\.)?\d+\.", "TAESD's tiny decoder", None),
    (r"(^|\.)transformer\.resblocks\.\d", "OpenCLIP's text encoder, of Stable Diffusion 2.x or SDXL", None),
    (r"(^|\.)encoder\.block\.\d+\.layer\.\d", "a T5 text encoder", None),
)
_PARTS: tuple[Row, ...] = (
    (r"(^|\.)(en|de)coder\.(conv_in|conv_out|up|down|mid|up_blocks|down_blocks|mid_block)\.", "a VAE alone", "--vae"),
    (r"(^|(?<!coder)\.)(input_blocks|output_blocks|down_blocks|up_blocks)\.", _UNET, "--checkpoint"),
    (r"(^|\.)text_model\.|(^|\.)embeddings\.token_embedding\.", _TEXT_ENCODER, "--text-encoder"),
    (r"(^|\.)vision_model\.embeddings\.|^concept_embeds", "CLIP's image encoder, or a safety checker", None),
    (r"(^|\.)encoder\.layers\.\d", _TEXT_ENCODER, "--text-encoder"),
    (r"(^|\.)transformer_blocks\.\d", "a diffusion transformer", None),
)
_WHOLE = "a whole checkpoint"
_WANTED = {
    "--vae": "a VAE",
    "--text-encoder": "a text encoder of CLIP's",
    "--lora": "a LoRA",
    "--embedding": "a textual inversion",
}


def _find(names: Iterable[str], *tables: tuple[Row, ...]) -> tuple[str, str | None, str] | None:
    """What a file is, the option that takes it, and the tensor that tells; or None."""
    for table in tables:
        for pattern, what, option in table:
            for name in names:
                if re.search(pattern, name):
                    return what, option, name
    return None


def _in_checkpoint(path: Path, found: tuple[str, str | None, str]) -> UnsupportedModelError:
    """The error for ``--checkpoint`` with a file that is none, or another model's."""
    what, option, name = found
    if what == _SD2:
        hint = "Its text encoder is OpenCLIP's: give the folder of the same model in diffusers' layout."
    elif what == _UNET:
        hint = "Give the other two with --text-encoder and --vae, or a whole checkpoint."
    elif option is None:
        hint = _ONLY_SD1
    else:
        hint = f"Give it with {option}, and a whole checkpoint with --checkpoint."
    return UnsupportedModelError(f"{path} is {what}", why=f"It has {name}.", hint=hint)


def refuse_foreign_file(path: Path, shapes: Shapes, is_checkpoint: bool) -> None:
    """Raises for a single file of another architecture.

    Args:
        path: the file.
        shapes: of its tensors.
        is_checkpoint: whether a UNet is in it.

    Raises:
        UnsupportedModelError: naming what it is.
    """
    found = _find(shapes, _FOREIGN, () if is_checkpoint else _ADDITIONS)
    if found:
        raise _in_checkpoint(path, found)


def foreign_part(path: Path, shapes: Shapes) -> UnsupportedModelError | CheckpointError:
    """The error for a single file without a UNet, or with nothing else."""
    if found := _find(shapes, _OTHERS, _PARTS):
        return _in_checkpoint(path, found)
    return CheckpointError(
        f"{path} is no checkpoint that qnn-sd knows",
        why=_first(shapes),
        hint="Give a folder in diffusers' layout, or a single file in Stable Diffusion's original one.",
    )


def other_kind(path: Path, shapes: Shapes, asked: str) -> CheckpointError | UnsupportedModelError | None:
    """The error for a file that is something else than what an option takes; None where nobody knows what it is.

    Args:
        path: the file.
        shapes: of its tensors.
        asked: the option.
    """
    parts = {found[0] for row in _PARTS[:3] if (found := _find(shapes, (row,)))}
    foreign = _find(shapes, _FOREIGN)
    found = foreign or _find(shapes, _ADDITIONS, _OTHERS, _PARTS)
    if found is None or found[1] == asked:
        return None
    what, option, name = found
    if not foreign and _UNET in parts and len(parts) > 1:
        what, option = _WHOLE, "--checkpoint"
    wanted, why = _WANTED[asked], f"It has {name}."
    title = f"{path} is {what}, and not {wanted}"
    if option is None:
        return UnsupportedModelError(title, why=why, hint=f"Give {wanted} for Stable Diffusion 1.x.")
    return CheckpointError(title, why=why, hint=f"It is {what}: give it with {option}.")


def unknown_kind(path: Path, shapes: Shapes, asked: str) -> CheckpointError:
    """The same for a file that nobody knows."""
    wanted = _WANTED[asked]
    return CheckpointError(
        f"{path} is no{wanted.removeprefix('a')}",
        why=_first(shapes),
        hint=f"Give {wanted} for Stable Diffusion 1.x.",
    )


def _first(shapes: Shapes) -> str:
    return f"Its first tensors are {', '.join(sorted(shapes)[:3])}." if shapes else "It holds no tensors."
