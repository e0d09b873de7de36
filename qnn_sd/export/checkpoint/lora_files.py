"""Which files a LoRA consists of: one file, or a folder as diffusers and peft write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qnn_sd.artifact import sha256_of_file, sha256_of_json
from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.not_weights import broken_link, refuse_pickles_in, weights_in

# As diffusers and peft write them; peft's config has the alphas that its file hasn't.
PEFT = "adapter_model.safetensors"
NAMES = ("pytorch_lora_weights.safetensors", PEFT)
CONFIG = "adapter_config.json"
# Where trainers put each network's adapter, if they write two.
_PARTS = ("unet", "text_encoder")


@dataclass(frozen=True)
class LoraFiles:
    """The files of one LoRA.

    Attributes:
        place: what was given: a file, a folder, or where the hub's lies.
        weights: files of tensors.
        configs: peft's ``adapter_config.json`` of each that has one.
        names: of all files, relative to the folder; one file's own name.
    """

    place: Path
    weights: tuple[Path, ...]
    configs: Mapping[Path, Path] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, Path]:
        """All files by names that are the same wherever the LoRA stands."""
        paths = (*self.weights, *self.configs.values())
        root = self.place if self.place.is_dir() else self.place.parent
        return {path.relative_to(root).as_posix(): path for path in paths}

    @property
    def sha256(self) -> str:
        """Of the file; of several, of their hashes."""
        if len(self.named) == 1:
            return sha256_of_file(self.weights[0])
        return sha256_of_json({name: sha256_of_file(path) for name, path in self.named.items()})


def lora_files(place: Path) -> LoraFiles:
    """The files of a LoRA that is given by its file or folder.

    Raises:
        CheckpointError: the folder holds none, or several that it doesn't say which to take of.
    """
    if not place.is_dir():
        return LoraFiles(place, (place,), _configs(place))
    for folder in (place, *(place / "snapshots").glob("*")):
        for name in NAMES:
            path = folder / name
            if broken := broken_link(path):
                raise broken
            if path.is_file():
                return LoraFiles(place, (path,), _configs(path))
    inner = tuple(path for part in _PARTS for name in NAMES if (path := place / part / name).is_file())
    if inner:
        return LoraFiles(place, inner, _configs(*inner))
    others = weights_in(place)
    if len(others) == 1:
        config = place / CONFIG
        return LoraFiles(place, (others[0],), {others[0]: config} if config.is_file() else {})
    if others:
        raise CheckpointError(
            f"{place} is a folder with several LoRAs",
            why=f"It holds {', '.join(path.name for path in others[:5])}.",
            hint=f"Give one: --lora {others[0]}.",
        )
    refuse_pickles_in(place)
    deeper = [path for name in NAMES for path in sorted(place.glob(f"*/{name}"))]
    if deeper:
        raise CheckpointError(
            f"{place} is a folder of LoRAs' folders",
            why=f"It holds {', '.join(path.relative_to(place).as_posix() for path in deeper[:5])}.",
            hint=f"Choose one: --lora {deeper[-1].parent}.",
        )
    raise CheckpointError(
        f"{place} is a folder with no LoRA",
        why=f"It has no .safetensors file, such as {NAMES[0]}.",
        hint="Give the LoRA's file.",
    )


def _configs(*weights: Path) -> dict[Path, Path]:
    """Only peft's own file has its config beside it: others lie together with anything."""
    beside = {path: path.parent / CONFIG for path in weights if path.name == PEFT}
    return {path: config for path, config in beside.items() if config.is_file()}
