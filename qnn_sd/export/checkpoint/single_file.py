"""A checkpoint as one ``.safetensors`` file in Stable Diffusion's original layout, which is what people download.

Such a file has tensors and nothing else: the configs are Stable Diffusion 1.x's, with the sizes that the tensors have,
or the kit's own checkpoint's, where the tensors are its (``kit_checkpoint.py``). Names become diffusers'
(``original_names.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint import original_config
from qnn_sd.export.checkpoint.architecture import foreign_part, refuse_foreign_file
from qnn_sd.export.checkpoint.folder import CONFIG, read_part, stored_tensors
from qnn_sd.export.checkpoint.json_file import read_config
from qnn_sd.export.checkpoint.kit_checkpoint import is_kit_part, kit_checkpoint, kit_config
from qnn_sd.export.checkpoint.original_names import Renamer, text_encoder_names, unet_names, vae_names
from qnn_sd.export.checkpoint.parts import PARTS, Layout, Part, StoredTensor
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile

# Where the networks stand in a file. What else is there (the noise schedule, EMA copies of the
# weights, the VAE's loss) isn't needed to generate.
_PREFIXES = {
    "text_encoder": "cond_stage_model.transformer.",
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
}
_READERS = {
    "text_encoder": (text_encoder_names, original_config.text_encoder),
    "unet": (unet_names, original_config.unet),
    "vae": (vae_names, original_config.vae),
}
_VAE_TRAINING = ("loss.", "model_ema.")


def read_single_file(path: Path, replaced: Collection[str] = ()) -> Layout:
    """Opens a file's header.

    Args:
        path: the file.
        replaced: parts that come from elsewhere, so that they may be missing here.

    Raises:
        CheckpointError: the file is a pickle or damaged, or a network is missing.
        UnsupportedModelError: another architecture (named).
    """
    file = SafetensorsFile(path)
    refuse_foreign_file(path, file.shapes)
    if not any(name.startswith(_PREFIXES["unet"]) for name in file.shapes):
        raise foreign_part(path, file.shapes)
    parts = {part: _read(file, part, _PREFIXES[part]) for part in PARTS if part not in replaced}
    if is_kit_part(parts["unet"], "unet"):
        kit = kit_checkpoint()
        tokenizer = kit.tokenizer if is_kit_part(parts["text_encoder"], "text_encoder") else None
        return Layout(path, parts, kit.scheduler, tokenizer)
    lcm = parts["unet"].config["time_cond_proj_dim"] is not None
    return Layout(path, parts, original_config.LCM_SCHEDULER if lcm else original_config.SCHEDULER, None)


def read_vae(path: Path) -> Part:
    """Opens a VAE: a network's folder, a whole checkpoint's, or a file in either layout.

    Raises:
        CheckpointError: it is missing, a pickle, damaged, or no VAE.
        UnsupportedModelError: another architecture (named).
    """
    if path.is_dir():
        return read_part(path if (path / CONFIG).is_file() else path / "vae", "vae")
    file = SafetensorsFile(path)
    prefix = _PREFIXES["vae"]
    if any(name.startswith(prefix) for name in file.shapes):
        return _read(file, "vae", prefix)
    if any(name.startswith(("decoder.up.", "decoder.mid.")) for name in file.shapes):
        return _read(file, "vae", "")
    if "decoder.conv_in.weight" not in file.shapes:
        raise CheckpointError(
            f"{path} is no VAE", why=f"Its first tensors are {', '.join(sorted(file.shapes)[:3])}.", hint="Give a VAE."
        )
    config = path.parent / CONFIG
    if not config.is_file():
        raise CheckpointError(
            f"{config} is missing",
            why=f"{path.name} is in diffusers' layout, where the config stands beside the weights.",
            hint=f"Put the VAE's config.json beside {path}.",
        )
    return Part(path, read_config(config), stored_tensors({path: file}), {f"vae/{path.name}": path})


def _read(file: SafetensorsFile, part: str, prefix: str) -> Part:
    names = [name for name in file.shapes if name.startswith(prefix)]
    if part == "vae":
        names = [name for name in names if not name.removeprefix(prefix).startswith(_VAE_TRAINING)]
    if not names:
        raise CheckpointError(
            f"{file.path} has no {part}",
            why=f"None of its {len(file.shapes)} tensors starts with {prefix}",
            hint="Give one with --vae." if part == "vae" else "Give a whole checkpoint: text encoder, UNet and VAE.",
        )
    renamer, config = _READERS[part]
    try:
        tensors = _renamed(file, names, prefix, renamer([name.removeprefix(prefix) for name in names]))
        parsed = kit_config(part, tensors) or config({name: stored.shape for name, stored in tensors.items()})
    except (KeyError, IndexError, ValueError) as error:
        lacking = f"It lacks {error.args[0]}." if isinstance(error, KeyError) else "Its tensors have other shapes."
        raise UnsupportedModelError(
            f"{file.path} has a {part} that isn't Stable Diffusion 1.x's",
            why=lacking,
            hint="Use a checkpoint of Stable Diffusion 1.x's architecture, or its folder in diffusers' layout.",
        ) from error
    return Part(file.path, parsed, tensors, {f"{part}/{file.path.name}": file.path})


def _renamed(file: SafetensorsFile, names: list[str], prefix: str, rename: Renamer) -> Mapping[str, StoredTensor]:
    tensors: dict[str, StoredTensor] = {}
    for name in names:
        modern, shape = rename(name.removeprefix(prefix), file.shapes[name])
        if modern in tensors:
            raise CheckpointError(
                f"{file.path} has two tensors for {modern}",
                why=f"They are {tensors[modern].name} and {name}.",
                hint="Get the checkpoint from where it was made.",
            )
        tensors[modern] = StoredTensor(file, name, shape)
    return tensors
