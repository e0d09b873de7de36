"""Tensor names of Stable Diffusion's original code, by rule, as diffusers' (Rombach et al. 2022's repository).

The UNet numbers its blocks through (``input_blocks.4``); diffusers numbers levels and the blocks in
them (``down_blocks.1.resnets.0``). The VAE's decoder counts its levels from the image's end.
A name that follows no rule stays as it is: the exporter refuses what it doesn't know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from qnn_sd.export.checkpoint.parts import without_text_model

Shape = tuple[int, ...]
# Name and shape in the file → name and shape in diffusers.
Renamer = Callable[[str, Shape], tuple[str, Shape]]
Rules = Sequence[tuple[str, str]]

_UNET_ENDS: Rules = (
    (r"^time_embed\.0\.", "time_embedding.linear_1."),
    (r"^time_embed\.2\.", "time_embedding.linear_2."),
    (r"^time_embed\.cond_proj\.", "time_embedding.cond_proj."),
    (r"^input_blocks\.0\.0\.", "conv_in."),
    (r"^out\.0\.", "conv_norm_out."),
    (r"^out\.2\.", "conv_out."),
    (r"^middle_block\.0\.", "mid_block.resnets.0."),
    (r"^middle_block\.1\.", "mid_block.attentions.0."),
    (r"^middle_block\.2\.", "mid_block.resnets.1."),
)
_UNET_RESNET: Rules = (
    (r"\.in_layers\.0\.", ".norm1."),
    (r"\.in_layers\.2\.", ".conv1."),
    (r"\.emb_layers\.1\.", ".time_emb_proj."),
    (r"\.out_layers\.0\.", ".norm2."),
    (r"\.out_layers\.3\.", ".conv2."),
    (r"\.skip_connection\.", ".conv_shortcut."),
)
_VAE_RULES: Rules = (
    (r"\.norm_out\.", ".conv_norm_out."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    # The attention has had three names for each of its layers, diffusers' two among them.
    (r"\.mid\.attn_1\.(group_)?norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.(?:to_)?([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.([qkv])(?:uery|ey|alue)\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.(?:proj_out|proj_attn|to_out\.0|to_out)\.", ".mid_block.attentions.0.to_out.0."),
    (r"^encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets."),
    (r"^encoder\.down\.(\d+)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0."),
    (r"^decoder\.up\.(\d+)\.block\.", r"decoder.up_blocks.\1.resnets."),
    (r"^decoder\.up\.(\d+)\.upsample\.", r"decoder.up_blocks.\1.upsamplers.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
)


def _apply(rules: Rules, name: str) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _count(names: Iterable[str], pattern: str) -> int:
    """How many different numbers the pattern's group has."""
    return len({match[1] for name in names if (match := re.match(pattern, name))})


def text_encoder_names(names: Sequence[str]) -> Renamer:  # noqa: ARG001 (its rule needs no count)
    """The text encoder is transformers' own: nothing changes but a prefix that version 5 doesn't write."""
    return lambda name, shape: (without_text_model(name), shape)


def modern_names(names: Sequence[str]) -> Renamer:  # noqa: ARG001 (as above)
    """Names that are diffusers' already."""
    return lambda name, shape: (name, shape)


def unet_names(names: Sequence[str]) -> Renamer:
    """The rule for a UNet with these names.

    Raises:
        KeyError: its blocks can't be shared evenly by its levels.
    """
    # A level ends with a downsampler, the last one with nothing.
    levels = 1 + _count(names, r"input_blocks\.(\d+)\.0\.op\.")
    blocks = _count(names, r"output_blocks\.(\d+)\.")
    # Each level has one block more on its way up than on its way down.
    per_level, rest = divmod(blocks, levels)
    if rest or per_level < 2:
        raise KeyError(f"output_blocks that {levels} levels can share (it has {blocks})")

    def down(match: re.Match[str]) -> str:
        level, place = divmod(int(match[1]) - 1, per_level)
        if place == per_level - 1:
            return f"down_blocks.{level}.downsamplers.0.{match[3].replace('op.', 'conv.', 1)}"
        return f"down_blocks.{level}.{('resnets', 'attentions')[int(match[2])]}.{place}.{match[3]}"

    def up(match: re.Match[str]) -> str:
        level, place = divmod(int(match[1]), per_level)
        if match[3].startswith("conv."):
            return f"up_blocks.{level}.upsamplers.0.{match[3]}"
        return f"up_blocks.{level}.{('resnets', 'attentions')[int(match[2])]}.{place}.{match[3]}"

    def rename(name: str, shape: Shape) -> tuple[str, Shape]:
        name = _apply(_UNET_ENDS, name)
        name = re.sub(r"^input_blocks\.(\d+)\.([01])\.(.*)$", down, name)
        name = re.sub(r"^output_blocks\.(\d+)\.([012])\.(.*)$", up, name)
        return _apply(_UNET_RESNET, name), shape

    return rename


def vae_names(names: Sequence[str]) -> Renamer:
    """The rule for a VAE with these names."""
    levels = _count(names, r"decoder\.up\.(\d+)\.")

    def rename(name: str, shape: Shape) -> tuple[str, Shape]:
        modern = re.sub(r"^decoder\.up\.(\d+)\.", lambda match: f"decoder.up.{levels - 1 - int(match[1])}.", name)
        modern = _apply(_VAE_RULES, modern)
        # The attention's 1x1 convolutions are linear layers in diffusers.
        linear = ".mid.attn_1." in name and shape[2:] == (1, 1)
        return modern, shape[:2] if linear else shape

    return rename


def former_unet_module(module: str, blocks: int, attends: Mapping[int, bool]) -> str:
    """A UNet's module in the original code's names: the other way than ``unet_names``.

    Args:
        module: its path in diffusers.
        blocks: of a level on the way up.
        attends: whether a level on the way up has attention, by its number.
    """
    for pattern, modern in _UNET_ENDS:
        if module.startswith(modern.removesuffix(".")) and f"{module}.".startswith(modern):
            former = pattern.removeprefix("^").removesuffix(r"\.").replace("\\.", ".")
            return _former_layer(f"{former}{module.removeprefix(modern.removesuffix('.'))}")
    found = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.?(.*)$", module)
    if found is None:
        return module
    side, level, kind, place, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
    if kind == "downsamplers":
        return f"input_blocks.{(level + 1) * blocks}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{level * blocks + blocks - 1}.{2 if attends.get(level) else 1}.conv"
    number = level * blocks + place + (side == "down")
    block = "input_blocks" if side == "down" else "output_blocks"
    return _former_layer(f"{block}.{number}.{int(kind == 'attentions')}.{rest}")


def _former_layer(module: str) -> str:
    """A layer of a residual block, as the original code calls it."""
    if ".transformer_blocks." in module:
        return module
    for pattern, modern in _UNET_RESNET:
        if module.endswith(modern.removesuffix(".")):
            return module.removesuffix(modern.removesuffix(".")) + pattern.removesuffix(r"\.").replace("\\.", ".")
    return module
