"""A checkpoint as one ``.safetensors`` file, which is what people download.

Such a file has tensors and nothing else: the configs are Stable Diffusion 1.x's, with the sizes that the tensors have,
or the kit's own checkpoint's, where the tensors are its (``kit_checkpoint.py``). Names become diffusers'
(``original_names.py``), wherever a network stands in the file (``networks_in_file.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint import original_config
from qnn_sd.export.checkpoint.folder import CONFIG, part_config, read_part
from qnn_sd.export.checkpoint.kinds_of_file import foreign_part, other_kind, refuse_foreign_file, unknown_kind
from qnn_sd.export.checkpoint.kit_checkpoint import is_kit_part, kit_checkpoint, kit_config
from qnn_sd.export.checkpoint.networks_in_file import USUAL, NetworkNames, beside, networks_in
from qnn_sd.export.checkpoint.original_names import (
    Renamer,
    modern_names,
    text_encoder_names,
    unet_names,
    vae_names,
)
from qnn_sd.export.checkpoint.parts import PARTS, Layout, Part, StoredTensor
from qnn_sd.export.checkpoint.prediction import markers_in
from qnn_sd.export.checkpoint.quantized import refuse_quantized
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile
from qnn_sd.export.checkpoint.tensor_names import first_names
from qnn_sd.export.checkpoint.weight_files import weight_files

_RENAMERS = {"text_encoder": text_encoder_names, "unet": unet_names, "vae": vae_names}
_CONFIGS = {
    "text_encoder": original_config.text_encoder,
    "unet": original_config.unet,
    "vae": original_config.vae,
}
_TITLES = {"text_encoder": "text encoder", "unet": "UNet", "vae": "VAE"}
_OPTIONS = {"text_encoder": "--text-encoder", "vae": "--vae"}


def read_single_file(path: Path, replaced: Collection[str] = ()) -> Layout:
    """Opens a file's header.

    Args:
        path: the file.
        replaced: parts that come from elsewhere, so that they may be missing here.

    Raises:
        CheckpointError: the file is something else (named) or damaged, or a network is missing.
        UnsupportedModelError: another architecture (named), or quantized weights.
    """
    file = SafetensorsFile(path)
    networks = networks_in(path, file.shapes)
    refuse_foreign_file(path, file.shapes, is_checkpoint="unet" in networks)
    refuse_quantized(path, file.shapes)
    needed = [part for part in PARTS if part not in replaced]
    if "unet" not in networks or (networks.keys() == {"unet"} and needed != ["unet"]):
        raise foreign_part(path, file.shapes)
    parts = {part: _read(file, part, networks.get(part)) for part in needed}
    left = beside(file.shapes, networks, markers_in(file))
    remarks: tuple[str, ...] = ()
    if left:
        remarks = (f"{path.name} has {first_names(left)} beside its networks, which nothing reads",)
    if is_kit_part(parts["unet"], "unet"):
        kit = kit_checkpoint()
        own_text = "text_encoder" in parts and is_kit_part(parts["text_encoder"], "text_encoder")
        return Layout(path, parts, kit.scheduler, kit.tokenizer if own_text else None, remarks)
    if parts["unet"].config["cross_attention_dim"] == original_config.SD2_TEXT_WIDTH:
        remarks += (f"{path.name} is taken for Stable Diffusion 2.x, by the width of its text: heads of 64 channels",)
    lcm = parts["unet"].config["time_cond_proj_dim"] is not None
    scheduler = original_config.LCM_SCHEDULER if lcm else original_config.SCHEDULER
    return Layout(path, parts, scheduler, None, remarks)


def read_network(path: Path, part: str) -> Part:
    """Opens a network that is given apart: its folder, a whole checkpoint's, or a file in either layout.

    Args:
        path: where it is.
        part: ``vae`` or ``text_encoder``.

    Raises:
        CheckpointError: it is missing, something else (named), or damaged.
        UnsupportedModelError: another architecture (named), or quantized weights.
    """
    if path.is_dir():
        return read_part_folder(path if (path / CONFIG).is_file() or not (path / part).is_dir() else path / part, part)
    file = SafetensorsFile(path)
    refuse_quantized(path, file.shapes)
    network = networks_in(path, file.shapes).get(part)
    if network is None:
        option = _OPTIONS[part]
        raise other_kind(path, file.shapes, option) or unknown_kind(path, file.shapes, option)
    config = path.parent / CONFIG
    is_bare = not network.prefix.removesuffix("text_model.")
    if is_bare and (not network.is_original or part == "text_encoder") and config.is_file():
        tensors = _renamed(file, network, modern_names([]))
        return Part(path, part_config(config, part), tensors, {f"{part}/{path.name}": path})
    found = _read(file, part, network)
    if network.is_original:
        return found
    return _with_remark(found, part)


def read_part_folder(folder: Path, part: str) -> Part:
    """Opens a network's folder, which may lack the config of a VAE or text encoder: the tensors' shapes tell its sizes.

    Raises:
        CheckpointError: its weights are missing, something else (named), or damaged.
        UnsupportedModelError: another architecture (named), or quantized weights.
    """
    if (folder / CONFIG).exists() or (folder / CONFIG).is_symlink() or part == "unet" or not folder.is_dir():
        return read_part(folder, part)
    if not any(folder.glob("*.safetensors*")):
        return read_part(folder, part)
    found = weight_files(folder)
    files = {f"{part}/{path.name}": path for path in found.paths}
    tensors = found.tensors
    config = _config(folder, part, tensors)
    remarks = () if found.remark is None else (found.remark,)
    return _with_remark(Part(folder, config, tensors, files, remarks), part)


def _with_remark(found: Part, part: str) -> Part:
    remark = (
        f"{found.origin.name} has no {CONFIG}: Stable Diffusion 1.x's {_TITLES[part]} is assumed, in the sizes of its "
        "tensors"
    )
    return Part(found.origin, found.config, found.tensors, found.files, (*found.remarks, remark))


def _read(file: SafetensorsFile, part: str, network: NetworkNames | None) -> Part:
    if network is None or not network.names:
        raise CheckpointError(
            f"{file.path} has no {part}",
            why=f"None of its {len(file.shapes)} tensors is named as one of it, such as {USUAL[part]}…",
            hint=f"Give one with {_OPTIONS[part]}, or a whole checkpoint."
            if part in _OPTIONS
            else "Give a whole checkpoint: text encoder, UNet and VAE.",
        )
    inner = [name.removeprefix(network.prefix) for name in network.names]
    make = _RENAMERS[part] if network.is_original else modern_names
    try:
        tensors = _renamed(file, network, make(inner))
    except (KeyError, IndexError, ValueError) as error:
        raise _other_architecture(file.path, part, error) from error
    return Part(file.path, _config(file.path, part, tensors), tensors, {f"{part}/{file.path.name}": file.path})


def _config(origin: Path, part: str, tensors: Mapping[str, StoredTensor]) -> Mapping[str, object]:
    try:
        return kit_config(part, tensors) or _CONFIGS[part]({name: each.shape for name, each in tensors.items()})
    except (KeyError, IndexError, ValueError) as error:
        raise _other_architecture(origin, part, error) from error


def _other_architecture(origin: Path, part: str, error: Exception) -> UnsupportedModelError:
    lacking = f"It lacks {error.args[0]}." if isinstance(error, KeyError) else "Its tensors have other shapes."
    return UnsupportedModelError(
        f"{origin} has a {part} that isn't Stable Diffusion 1.x's",
        why=lacking,
        hint="Use a checkpoint of Stable Diffusion 1.x's architecture, or its folder in diffusers' layout.",
    )


def _renamed(file: SafetensorsFile, network: NetworkNames, rename: Renamer) -> Mapping[str, StoredTensor]:
    tensors: dict[str, StoredTensor] = {}
    for name in network.names:
        modern, shape = rename(name.removeprefix(network.prefix), file.shapes[name])
        if modern in tensors:
            raise CheckpointError(
                f"{file.path} has two tensors for {modern}",
                why=f"They are {tensors[modern].name} and {name}.",
                hint="Get the checkpoint from where it was made.",
            )
        tensors[modern] = StoredTensor(file, name, shape)
    return tensors
