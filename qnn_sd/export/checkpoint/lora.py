"""LoRA files (Hu et al. 2021): for a weight W, ``W + scale * alpha / rank * up @ down``.

A convolution's ``down`` has its kernel and ``up`` is 1x1, so the same product on flattened kernels
holds for it (LoCon). The product is made when the weight is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint.architecture import is_whole_checkpoint, lora_kin
from qnn_sd.export.checkpoint.lora_names import LoraKey, LoraNames, Role
from qnn_sd.export.checkpoint.misfit import Base, refuse_lora_of_other_width
from qnn_sd.export.checkpoint.parts import Part, without_text_model
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile
from qnn_sd.export.checkpoint.tensors import Array

# Where diffusers notes the alphas of the LoRAs it writes.
_METADATA = "lora_adapter_metadata"


@dataclass(frozen=True)
class Delta:
    """What one LoRA adds to one weight.

    Attributes:
        file: the LoRA's.
        down: name there of the tensor [rank, in, ...].
        up: name there of the tensor [out, rank, ...].
        factor: user's scale times alpha / rank.
    """

    file: SafetensorsFile
    down: str
    up: str
    factor: float

    def added_to(self, weight: Array) -> Array:
        """The weight [out, in, ...] with the LoRA merged.

        Raises:
            CheckpointError: the LoRA's tensors or the merged weight aren't finite.
        """
        down, up = self.file.read(self.down), self.file.read(self.up)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is named below
            product = up.reshape(len(up), -1) @ down.reshape(len(down), -1)
            product *= np.float32(self.factor)
            merged: Array = product.reshape(weight.shape)
            merged += weight
        if not np.isfinite(merged).all():
            raise CheckpointError(
                f"{self.up} in {self.file.path} leaves no finite weight",
                why=f"It was merged with a factor of {self.factor:g} (scale times alpha / rank).",
                hint="Give a smaller scale after the path, such as :0.5.",
            )
        return merged


@dataclass(frozen=True)
class Lora:
    """One LoRA file as it is merged.

    Attributes:
        path: the file.
        scale: what the user multiplies it with.
        deltas: for each part that it touches, by the weight's name (without ``text_model.``).
    """

    path: Path
    scale: float
    deltas: Mapping[str, Mapping[str, Delta]]


@dataclass
class _Module:
    """A LoRA's tensors for one weight, as they are found."""

    key: LoraKey
    names: dict[Role, str] = field(default_factory=dict)


def read_lora(path: Path, scale: float, parts: Mapping[str, Part], base: Base) -> Lora:
    """What a LoRA file adds to a checkpoint's weights.

    Args:
        path: the file, in kohya's or diffusers' naming.
        scale: what the user multiplies it with.
        parts: the checkpoint's networks.
        base: what messages call the checkpoint.

    Raises:
        CheckpointError: a damaged file, one for text of another width, keys that match nothing (named), or shapes that
            don't fit.
        UnsupportedModelError: a LoRA for another architecture, or of another kind than LoRA.
    """
    file = SafetensorsFile(path)
    refuse_lora_of_other_width(path, file.shapes, base)
    names = LoraNames({part: _weight_names(parts[part]) for part in ("unet", "text_encoder")})
    modules: dict[tuple[str, str], _Module] = {}
    strangers = []
    for name in file.shapes:
        key = names.parse(name, path)
        if key is None:
            strangers.append(name)
        else:
            modules.setdefault((key.part, key.weight), _Module(key)).names[key.role] = name
    if strangers or not modules:
        _refuse_strangers(file, strangers, base)
    settings = _adapter_settings(file)
    deltas: dict[str, dict[str, Delta]] = {}
    for (part, weight), module in modules.items():
        deltas.setdefault(part, {})[weight] = _delta(file, module, scale, _shape(parts[part], weight), settings, base)
    return Lora(path, scale, deltas)


def _weight_names(part: Part) -> list[str]:
    """The tensors that a LoRA can change: matrices and kernels."""
    return [without_text_model(name) for name, tensor in part.tensors.items() if len(tensor.shape) > 1]


def _shape(part: Part, weight: str) -> tuple[int, ...]:
    stored = part.tensors.get(weight) or part.tensors[f"text_model.{weight}"]
    return stored.shape


def _refuse_strangers(file: SafetensorsFile, strangers: list[str], base: Base) -> None:
    kin = lora_kin(file.shapes)
    if kin:
        raise UnsupportedModelError(
            f"{file.path} is a LoRA for {kin}",
            why=f"It has {', '.join(sorted(strangers)[:3])}, which nothing here is called.",
            hint="Use a LoRA for Stable Diffusion 1.x.",
        )
    if not strangers:
        raise CheckpointError(f"{file.path} is empty", hint="Download or copy the file again.")
    raise CheckpointError(
        f"{file.path} has {len(strangers)} of {len(file.shapes)} tensors that match nothing in this checkpoint",
        why=f"The first are {', '.join(sorted(strangers)[:3])}.",
        hint="It is a whole checkpoint: give it with --checkpoint."
        if is_whole_checkpoint(file.shapes)
        else base.hint("Is this a LoRA, and one for Stable Diffusion 1.x?"),
    )


def _delta(
    file: SafetensorsFile,
    module: _Module,
    scale: float,
    weight: tuple[int, ...],
    settings: Mapping[str, Any],
    base: Base,
) -> Delta:
    for role in (Role.DOWN, Role.UP):
        if role not in module.names:
            there = next(iter(module.names.values()))
            raise CheckpointError(
                f"{file.path} has {there} without the {role.value} tensor that belongs to it",
                hint="Download or copy the file again: it is not whole.",
            )
    down, up = module.names[Role.DOWN], module.names[Role.UP]
    down_shape, up_shape = file.shapes[down], file.shapes[up]
    rank = down_shape[0] if down_shape else 0
    fits = (
        rank > 0
        and down_shape[1:2] == weight[1:2]
        and math.prod(down_shape[2:]) == math.prod(weight[2:])
        and up_shape[:2] == (weight[0], rank)
        and math.prod(up_shape[2:]) == 1
    )
    if not fits:
        kin = lora_kin(file.shapes)
        raise CheckpointError(
            f"{up} {list(up_shape)} times {down} {list(down_shape)} doesn't fit {module.key.weight} {list(weight)}",
            why=f"{file.path} is a LoRA for {kin or 'another architecture'}.",
            hint=base.hint("Use a LoRA for this checkpoint's architecture."),
        )
    alpha = _alpha(file, module, rank, settings)
    return Delta(file, down, up, scale * alpha / rank)


def _alpha(file: SafetensorsFile, module: _Module, rank: int, settings: Mapping[str, Any]) -> float:
    """The module's alpha: a tensor of its own, or in the metadata, or the rank if nothing is said."""
    if Role.ALPHA in module.names:
        values = file.read(module.names[Role.ALPHA]).ravel()
        if len(values) != 1:
            raise CheckpointError(
                f"{module.names[Role.ALPHA]} in {file.path} has {len(values)} values, not one",
                hint="Download or copy the file again: it is not whole.",
            )
        return float(values[0])
    prefix = f"{module.key.part}." if f"{module.key.part}.r" in settings else ""
    pattern = settings.get(f"{prefix}alpha_pattern")
    pattern = pattern if isinstance(pattern, dict) else {}
    name = module.key.weight.removesuffix(".weight")
    # peft's patterns name a module by the end of its path.
    matches = [value for key, value in pattern.items() if f".{name}".endswith(f".{without_text_model(key)}")]
    value = matches[0] if matches else settings.get(f"{prefix}lora_alpha", rank)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CheckpointError(
            f"{file.path} has the alpha {value!r} for {name}", hint="Download or copy the file again."
        )
    if settings.get(f"{prefix}use_rslora"):
        raise UnsupportedModelError(
            f"{file.path} is a rank-stabilized LoRA, which qnn-sd doesn't merge",
            why="Its scale is alpha / sqrt(rank).",
            hint="Use a LoRA with the usual scale, alpha / rank.",
        )
    return float(value)


def _adapter_settings(file: SafetensorsFile) -> Mapping[str, Any]:
    """What diffusers notes of a LoRA in the file's metadata; empty for others' files."""
    text = file.metadata.get(_METADATA)
    if text is None:
        return {}
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"The metadata of {file.path} can't be read", why=str(error), hint="Download or copy the file again."
        ) from error
    return settings if isinstance(settings, dict) else {}
