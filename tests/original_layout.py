"""A diffusers folder's tensors under Stable Diffusion's original names, by a table written out block by block.

It goes the other way than the package does, and counts through as the original code builds its
modules; diffusers' loading of the result is the judge of both.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def _unet_table(config: dict) -> dict[str, str]:
    """Module of diffusers → module of the original code, for everything with a number in its name."""
    table = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "time_embedding.cond_proj": "time_embed.cond_proj",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.attentions.0": "middle_block.1",
    }

    def resnet(modern: str, original: str) -> None:
        table.update({f"{modern}.{name}": f"{original}.{former}" for name, former in RESNET.items()})

    resnet("mid_block.resnets.0", "middle_block.0")
    resnet("mid_block.resnets.1", "middle_block.2")
    levels, layers = len(config["block_out_channels"]), config["layers_per_block"]
    block = 1
    for level in range(levels):
        for layer in range(layers):
            resnet(f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{block}.0")
            table[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{block}.1"
            block += 1
        if level < levels - 1:
            table[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{block}.0.op"
            block += 1
    block = 0
    for level in range(levels):
        attends = config["up_block_types"][level].startswith("CrossAttn")
        for layer in range(layers + 1):
            resnet(f"up_blocks.{level}.resnets.{layer}", f"output_blocks.{block}.0")
            table[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{block}.1"
            block += 1
        table[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{block - 1}.{2 if attends else 1}.conv"
    return table


def _vae_table(config: dict) -> dict[str, str]:
    table = {}
    levels, layers = len(config["block_out_channels"]), config["layers_per_block"]
    for half in ("encoder", "decoder"):
        table[f"{half}.conv_norm_out"] = f"{half}.norm_out"
        blocks = {f"{half}.mid_block.resnets.{n}": f"{half}.mid.block_{n + 1}" for n in range(2)}
        for name, former in ATTENTION.items():
            table[f"{half}.mid_block.attentions.0.{name}"] = f"{half}.mid.attn_1.{former}"
        for level in range(levels):
            for layer in range(layers + (half == "decoder")):
                if half == "encoder":
                    blocks[f"encoder.down_blocks.{level}.resnets.{layer}"] = f"encoder.down.{level}.block.{layer}"
                else:
                    blocks[f"decoder.up_blocks.{level}.resnets.{layer}"] = (
                        f"decoder.up.{levels - 1 - level}.block.{layer}"
                    )
            table[f"encoder.down_blocks.{level}.downsamplers.0.conv"] = f"encoder.down.{level}.downsample.conv"
            table[f"decoder.up_blocks.{level}.upsamplers.0.conv"] = f"decoder.up.{levels - 1 - level}.upsample.conv"
        table.update({f"{modern}.conv_shortcut": f"{former}.nin_shortcut" for modern, former in blocks.items()})
        table.update(blocks)
    return table


def _renamed(name: str, table: dict[str, str]) -> str:
    # The longest module that the name begins with.
    for length in range(name.count("."), 0, -1):
        module = ".".join(name.split(".")[:length])
        if module in table:
            return table[module] + name[len(module) :]
    return name


def to_original(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder as a single file in the original layout holds them."""
    result = {}
    for part, prefix, make in (
        ("unet", "model.diffusion_model", _unet_table),
        ("vae", "first_stage_model", _vae_table),
        ("text_encoder", "cond_stage_model.transformer", None),
    ):
        [path] = (folder / part).glob("*.safetensors")
        table = make(json.loads((folder / part / "config.json").read_text())) if make else {}
        for name, tensor in load_file(path).items():
            former = _renamed(name, table)
            if part == "text_encoder":
                former = f"text_model.{name.removeprefix('text_model.')}"
            if ".mid.attn_1." in former and tensor.ndim == 2:
                tensor = tensor[:, :, None, None]  # noqa: PLW2901 (a 1x1 convolution there)
            result[f"{prefix}.{former}"] = tensor.contiguous()
    return result
