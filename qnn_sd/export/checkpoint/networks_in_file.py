"""Where the networks stand in a file: found by a tensor that each must have, not by the prefix that a tool writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.parts import PARTS

# In Stable Diffusion's original layout.
USUAL = {
    "text_encoder": "cond_stage_model.transformer.",
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
}
# A tensor of each network: in the original names, and in diffusers'.
_ANCHORS = {
    "text_encoder": ("embeddings.token_embedding.weight",),
    "unet": ("input_blocks.0.0.weight", "time_embedding.linear_1.weight"),
    "vae": ("decoder.conv_in.weight",),
}
# What a network's names begin with, for one that has no prefix.
_ROOTS = {
    "text_encoder": r"(text_model\.)?(embeddings|encoder\.layers|final_layer_norm)\.",
    "unet": r"(input_blocks|middle_block|output_blocks|time_embed|out|label_emb"
    r"|conv_in|conv_out|conv_norm_out|time_embedding|down_blocks|mid_block|up_blocks|class_embedding|add_embedding)\.",
    "vae": r"((encoder|decoder)\.(?!layers)|(post_)?quant_conv\.)",
}
_ORIGINAL = {
    "unet": r"(input_blocks|output_blocks|middle_block|time_embed)\.",
    "vae": r"(encoder|decoder)\.(down|up|mid|norm_out)\.",
}
_VAE_TRAINING = ("loss.", "model_ema.")
# What stands beside the networks and isn't needed to generate: the noise schedule, averaged copies, what counts steps.
_BESIDE = re.compile(
    r"(model_ema|cond_stage_model|first_stage_model|safety_checker|denoiser|embedding_manager|ema)\."
    r"|(alphas_cumprod|betas|sqrt_|log_one_minus|posterior_|logvar|lvlb_weights|global_step|scale_factor|model_ema)"
)


@dataclass(frozen=True)
class NetworkNames:
    """One network's tensors in a file.

    Attributes:
        prefix: of their names.
        names: whole.
        is_original: whether what follows the prefix is named as in the original code, and not as in diffusers.
    """

    prefix: str
    names: tuple[str, ...]
    is_original: bool


def networks_in(path: Path, names: Iterable[str]) -> Mapping[str, NetworkNames]:
    """The networks that a file holds.

    Args:
        path: the file, for messages.
        names: of its tensors.

    Raises:
        CheckpointError: it holds one twice.
    """
    names = list(names)
    prefixes = {part: _prefix(path, names, part) for part in PARTS}
    found = {}
    for part, prefix in prefixes.items():
        if prefix is None:
            continue
        others = [other for other in prefixes.values() if other and other != prefix and other.startswith(prefix)]
        inside = [name for name in names if name.startswith(prefix) and not (others and name.startswith(tuple(others)))]
        if not prefix:
            inside = [name for name in inside if re.match(_ROOTS[part], name)]
        if part == "vae":
            inside = [name for name in inside if not name.removeprefix(prefix).startswith(_VAE_TRAINING)]
        original = _ORIGINAL.get(part)
        is_original = original is None or any(re.match(original, name.removeprefix(prefix)) for name in inside)
        found[part] = NetworkNames(prefix, tuple(inside), is_original)
    return found


def _prefix(path: Path, names: list[str], part: str) -> str | None:
    """What a network's names begin with; None if the file hasn't got it."""
    usual = USUAL[part]
    found = set()
    for name in names:
        for anchor in _ANCHORS[part]:
            prefix = name.removesuffix(anchor)
            if prefix != name and (not prefix or prefix.endswith((".", "/"))):
                found.add(prefix.removesuffix("text_model.") if part == "text_encoder" else prefix)
    # A damaged file may lack the very tensor that is looked for.
    if usual in found or (not found and any(name.startswith(usual) for name in names)):
        return usual
    if len(found) > 1:
        first, second = sorted(found)[:2]
        raise CheckpointError(
            f"{path} holds two networks of the kind {part}",
            why=f"One's names begin with {first or 'nothing'}, the other's with {second}.",
            hint="Give a file with one of each.",
        )
    return next(iter(found), None)


def beside(names: Iterable[str], networks: Mapping[str, NetworkNames], markers: Iterable[str]) -> list[str]:
    """Tensors that belong to no network, and to nothing that is known to stand beside them.

    Args:
        names: of all tensors.
        networks: that were found.
        markers: names of tensors that say something of the model.
    """
    known = {name for network in networks.values() for name in network.names} | set(markers)
    inside = tuple(network.prefix for network in networks.values() if network.prefix)
    return sorted(
        name for name in names if name not in known and not name.startswith(inside) and not _BESIDE.match(name)
    )
