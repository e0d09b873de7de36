"""How trainers name a LoRA's tensors, and which weight each one is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from qnn_sd.errors import UnsupportedModelError
from qnn_sd.export.checkpoint.parts import without_text_model


class Role(Enum):
    """What a LoRA's tensor is in the product."""

    DOWN = "down"
    UP = "up"
    ALPHA = "alpha"


@dataclass(frozen=True)
class LoraKey:
    """What a LoRA's tensor belongs to.

    Attributes:
        part: ``unet`` or ``text_encoder``.
        weight: the checkpoint's weight, without ``text_model.``.
        role: of the tensor.
    """

    part: str
    weight: str
    role: Role


# The ends of a name, by who writes them: kohya, peft and diffusers since 0.22, diffusers before.
_ROLES = {
    ".lora_down.weight": Role.DOWN,
    ".lora_up.weight": Role.UP,
    ".lora_A.weight": Role.DOWN,
    ".lora_B.weight": Role.UP,
    ".lora.down.weight": Role.DOWN,
    ".lora.up.weight": Role.UP,
    ".lora_linear_layer.down.weight": Role.DOWN,
    ".lora_linear_layer.up.weight": Role.UP,
    "_lora.down.weight": Role.DOWN,
    "_lora.up.weight": Role.UP,
    ".alpha": Role.ALPHA,
}
# The last word of a tensor's name, or the start of it where it ends in an underscore.
_OTHER_KINDS = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "lora_mid": "LoCon with a Tucker decomposition",
    "oft_": "OFT",
    "on_input": "IA3",
    "diff": "difference of whole weights",
    "diff_b": "difference of whole weights",
    "b1": "GLoRA",
}
_KOHYA = {"lora_unet_": "unet", "lora_te_": "text_encoder"}
_KOHYA_TEXT_MODEL = "text_model_"
# diffusers' first LoRAs hung on the attention processors and named the projections by their role.
_FORMER = {
    "unet": {"to_out": "to_out.0"},
    "text_encoder": {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"},
}


class LoraNames:
    """Finds the weight that a LoRA's tensor is for.

    Args:
        weights: the names of each part's weights, without ``text_model.``.
    """

    def __init__(self, weights: Mapping[str, Iterable[str]]) -> None:
        self._weights = {part: {name.removesuffix(".weight") for name in names} for part, names in weights.items()}
        # kohya writes a module's path with underscores, which can't be undone without the list of modules.
        self._flat = {part: {name.replace(".", "_"): name for name in names} for part, names in self._weights.items()}

    def parse(self, name: str, path: Path) -> LoraKey | None:
        """What a tensor of a LoRA file belongs to, or None if it matches nothing.

        Raises:
            UnsupportedModelError: it belongs to another kind of adapter (named).
        """
        last = name.removesuffix(".weight").rsplit(".", 1)[-1]
        for start, kind in _OTHER_KINDS.items():
            if last == start or (start.endswith("_") and last.startswith(start)):
                raise UnsupportedModelError(
                    f"{path} is a {kind}, which qnn-sd doesn't merge",
                    why=f"It has {name}.",
                    hint="Use a LoRA or LoCon, or merge the file into a checkpoint with the tool it was trained with.",
                )
        for end, role in _ROLES.items():
            if name.endswith(end):
                found = self._module(name.removesuffix(end))
                return None if found is None else LoraKey(found[0], f"{found[1]}.weight", role)
        return None

    def _module(self, path: str) -> tuple[str, str] | None:
        """Part and module of a path without its role, or None."""
        for prefix, part in _KOHYA.items():
            if path.startswith(prefix):
                module = self._flat[part].get(path.removeprefix(prefix).removeprefix(_KOHYA_TEXT_MODEL))
                return None if module is None else (part, module)
        # A file for the UNet alone may leave out its prefix.
        part, rest = "unet", path
        for named in self._weights:
            if path.startswith(f"{named}."):
                part, rest = named, path.removeprefix(f"{named}.")
        rest = without_text_model(rest)
        if rest not in self._weights[part]:
            rest = self._modern(part, rest)
        return (part, rest) if rest in self._weights[part] else None

    @staticmethod
    def _modern(part: str, path: str) -> str:
        """A module's path as diffusers names it since 0.22."""
        owner, _, last = re.sub(r"\.processor\b", "", path).rpartition(".")
        return f"{owner}.{_FORMER[part].get(last, last)}"
