"""How trainers name an adapter's tensors, and which of the checkpoint's modules each one is for.

A prefix decides nothing: what is left of a name is looked up among the checkpoint's own modules, by diffusers' names
and by the original code's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from qnn_sd.errors import UnsupportedModelError
from qnn_sd.export.checkpoint.original_names import former_unet_module


class Role(Enum):
    """What an adapter's tensor is in the formula of its kind."""

    DOWN = "down"
    UP = "up"
    MID = "mid"
    ALPHA = "alpha"
    MAGNITUDE = "magnitude"
    MAGNITUDE_OF_ROWS = "magnitude of rows"
    HADA_1A = "w1_a"
    HADA_1B = "w1_b"
    HADA_2A = "w2_a"
    HADA_2B = "w2_b"
    HADA_T1 = "t1"
    HADA_T2 = "t2"
    KRON_1 = "w1"
    KRON_1A = "kron w1_a"
    KRON_1B = "kron w1_b"
    KRON_2 = "w2"
    KRON_2A = "kron w2_a"
    KRON_2B = "kron w2_b"
    KRON_T2 = "kron t2"
    FACTORS = "factors"
    FACTORS_OF_CHANGE = "factors of the change"
    ON_INPUT = "on input"
    DIFFERENCE = "difference"
    BIAS = "difference of the bias"
    UP_BIAS = "bias of up"


@dataclass(frozen=True)
class LoraKey:
    """What an adapter's tensor belongs to.

    Attributes:
        part: ``unet`` or ``text_encoder``.
        module: of the checkpoint, without ``text_model.``.
        role: of the tensor.
    """

    part: str
    module: str
    role: Role


# The ends of a name, by who writes them: kohya, peft and diffusers since 0.22, diffusers before; LyCORIS; peft's IA3.
_ROLES = {
    ".lora_down.weight": Role.DOWN,
    ".lora_up.weight": Role.UP,
    ".lora_A.weight": Role.DOWN,
    ".lora_B.weight": Role.UP,
    ".lora_B.bias": Role.UP_BIAS,
    ".lora.down.weight": Role.DOWN,
    ".lora.up.weight": Role.UP,
    ".lora_linear_layer.down.weight": Role.DOWN,
    ".lora_linear_layer.up.weight": Role.UP,
    "_lora.down.weight": Role.DOWN,
    "_lora.up.weight": Role.UP,
    ".lora_mid.weight": Role.MID,
    # loralib's are parameters, not layers.
    ".lora_A": Role.DOWN,
    ".lora_B": Role.UP,
    ".lora_down": Role.DOWN,
    ".lora_up": Role.UP,
    ".alpha": Role.ALPHA,
    ".dora_scale": Role.MAGNITUDE,
    ".lora_magnitude_vector": Role.MAGNITUDE_OF_ROWS,
    ".lora_magnitude_vector.weight": Role.MAGNITUDE_OF_ROWS,
    ".hada_w1_a": Role.HADA_1A,
    ".hada_w1_b": Role.HADA_1B,
    ".hada_w2_a": Role.HADA_2A,
    ".hada_w2_b": Role.HADA_2B,
    ".hada_t1": Role.HADA_T1,
    ".hada_t2": Role.HADA_T2,
    ".lokr_w1": Role.KRON_1,
    ".lokr_w1_a": Role.KRON_1A,
    ".lokr_w1_b": Role.KRON_1B,
    ".lokr_w2": Role.KRON_2,
    ".lokr_w2_a": Role.KRON_2A,
    ".lokr_w2_b": Role.KRON_2B,
    ".lokr_t2": Role.KRON_T2,
    ".ia3_l": Role.FACTORS,
    ".on_input": Role.ON_INPUT,
    ".diff": Role.DIFFERENCE,
    ".diff_b": Role.BIAS,
    ".w_norm": Role.DIFFERENCE,
    ".b_norm": Role.BIAS,
    # LyCORIS's IA3 calls its factors so: all else that ends in it stands above.
    ".weight": Role.FACTORS_OF_CHANGE,
}
# The last word of a tensor's name, or the start of it where it ends in an underscore.
_OTHER_KINDS = {
    "oft_": "an OFT",
    "boft_": "a BOFT",
    "vera_": "a VeRA",
    "lora_E": "an AdaLoRA",
    "lora_embedding_": "a LoRA of an embedding",
    "trainable_tokens_": "an adapter with trained tokens",
    "hra_": "an HRA",
    "bone_": "a Bone",
    "miss_": "a MiSS",
    "fourierft_": "a FourierFT",
    "waveft_": "a WaveFT",
    "randlora_": "a RandLoRA",
    "vblora_": "a VB-LoRA",
    "shira_": "a SHiRA",
    "c3a_": "a C3A",
    "road_": "a RoAd",
    "ln_tuning_": "a tuning of norms by peft",
    "a1": "a GLoRA",
    "a2": "a GLoRA",
    "b1": "a GLoRA",
    "b2": "a GLoRA",
    "scalar": "an adapter with learned scalars",
    "set_weight": "a replacement of whole weights",
}
# cloneofsimo's first LoRAs number the layers, in an order that only their own code knows.
_NUMBERED = re.compile(r"(unet|text_encoder):\d+:(up|down|rank|alpha)")
# What tools put before a module's path.
_PREFIX = re.compile(
    r"^(?:(?:lora|lycoris|base_model|model|unet|te1?|text_encoder|text_model|transformer|diffusion_model"
    r"|cond_stage_model|clip_l|clip|text_encoders|module|_orig_mod|state_dict|pipeline|pipe|network)_)*"
)
# peft's state dicts name the adapter after its tensors; its files don't.
_ADAPTER = re.compile(r"(?<=\.lora_[AB])\.(?!weight$|bias$)[^.]+|(?<=\.lora_magnitude_vector)\.(?!weight$)[^.]+")
# diffusers' first LoRAs hung on the attention processors and named the projections by their role.
_FORMER = {"to_out": "to_out_0", "to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj"}


class LoraNames:
    """Finds the module that an adapter's tensor is for.

    Args:
        modules: of each part, without ``text_model.``.
    """

    def __init__(self, modules: Mapping[str, Iterable[str]]) -> None:
        # kohya writes a module's path with underscores, which can't be undone without the list of modules.
        self._flat = {
            _flat(path): (part, name) for part, names in modules.items() for name, path in _spellings(part, list(names))
        }

    def parse(self, name: str, path: Path) -> LoraKey | None:
        """What a tensor of an adapter's file belongs to, or None if it matches nothing.

        Raises:
            UnsupportedModelError: it belongs to another kind of adapter (named).
        """
        name = _ADAPTER.sub("", name).replace(".modules_to_save.default.", ".")
        if _NUMBERED.fullmatch(name):
            raise UnsupportedModelError(
                f"{path} is a LoRA of numbered layers, which qnn-sd doesn't merge",
                why=f"It has {name}: which layer that is, only the tool knows that it was trained with.",
                hint="Convert it with that tool to a LoRA that names its layers.",
            )
        last = name.removesuffix(".weight").rsplit(".", 1)[-1]
        for start, kind in _OTHER_KINDS.items():
            if last == start or (start.endswith("_") and last.startswith(start)):
                raise UnsupportedModelError(
                    f"{path} is {kind}, which qnn-sd doesn't merge",
                    why=f"It has {name}.",
                    hint="Use a LoRA, or merge the file into a checkpoint with the tool it was trained with.",
                )
        for end, role in _ROLES.items():
            if name.endswith(end):
                found = self._module(name.removesuffix(end))
                return None if found is None else LoraKey(*found, role)
        return None

    @staticmethod
    def has_role(name: str) -> bool:
        """Whether a name ends as an adapter's tensors do, whatever module it is for."""
        return any(_ADAPTER.sub("", name).endswith(end) for end in _ROLES if end != ".weight")

    def _module(self, path: str) -> tuple[str, str] | None:
        """Part and module of a path without its role, or None."""
        flat = _flat(re.sub(r"\.processor\b", "", path))
        for spelled in (flat, _modern(flat)):
            if found := self._flat.get(_PREFIX.sub("", spelled, count=1)):
                return found
        return None


def _flat(path: str) -> str:
    return path.replace(".", "_")


def _modern(flat: str) -> str:
    """A module's path as diffusers names it since 0.22."""
    for former, modern in _FORMER.items():
        in_text = "self_attn_" in flat
        if flat.endswith(f"_{former}") and (former == "to_out" or in_text):
            return flat.removesuffix(former) + ("out_proj" if in_text and former == "to_out" else modern)
    return flat


def _spellings(part: str, names: list[str]) -> Iterator[tuple[str, str]]:
    """Each module with its path, and in a UNet with the original code's."""
    yield from zip(names, names, strict=True)
    places = [found for name in names if (found := re.match(r"up_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.", name))]
    if part == "unet" and places:
        blocks = 1 + max(int(found[3]) for found in places)
        attends = {int(found[1]): True for found in places if found[2] == "attentions"}
        yield from ((name, former_unet_module(name, blocks, attends)) for name in names)
