"""What stands beside an adapter's tensors: peft's ``adapter_config.json``, or the metadata that diffusers writes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint.json_file import read_json
from qnn_sd.export.checkpoint.parts import without_text_model
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile

# No real alpha or rank comes near it; JSON's whole numbers may be larger than any float.
_LARGEST = 1e30
# Where diffusers notes the alphas of the LoRAs it writes.
_METADATA = "lora_adapter_metadata"
_MERGED = ("LORA", "LOHA", "LOKR", "IA3")
# Ways to begin that take a part out of the base's own weights: the adapter holds it, and fits no other base.
_OF_ANOTHER_BASE = ("pissa", "corda", "olora", "lora_ga", "loftq", "mica")


@dataclass(frozen=True)
class AdapterSettings:
    """The settings of one file.

    Attributes:
        path: what messages call it.
        values: by name; diffusers puts the part before it.
    """

    path: Path
    values: Mapping[str, Any]

    @classmethod
    def of(cls, file: SafetensorsFile, config: Path | None) -> AdapterSettings:
        """Those of a file, from peft's config if there is one.

        Raises:
            CheckpointError: they can't be read.
            UnsupportedModelError: of a kind that isn't merged.
        """
        if config is None:
            settings = cls(file.path, _metadata(file))
            settings.refuse_another_base()
            return settings
        values = read_json(config)
        kind = values.get("peft_type", "LORA")
        if kind not in _MERGED:
            raise UnsupportedModelError(
                f"{config.parent} is an adapter of the kind {kind}, which qnn-sd doesn't merge",
                why=f"{config.name} says so. Merged are {', '.join(_MERGED)}.",
                hint="Use a LoRA, or merge it into a checkpoint with peft.",
            )
        settings = cls(config, values)
        settings.refuse_another_base()
        return settings

    def refuse_another_base(self) -> None:
        """Raises for an adapter of a base that isn't the checkpoint.

        Raises:
            UnsupportedModelError: its training changed the base's weights, or its layers.
        """
        for key, value in self.values.items():
            name = key.rsplit(".", 1)[-1]
            began = str(value).lower().startswith(_OF_ANOTHER_BASE) if name == "init_lora_weights" else False
            if began or (name == "layer_replication" and value):
                raise UnsupportedModelError(
                    f"{self.path} is of an adapter for a changed base, which qnn-sd doesn't merge",
                    why=f"Its {name} is {value!r}: in training the base had other weights than the checkpoint.",
                    hint="Merge it into its base with peft (merge_and_unload), and give that with --checkpoint.",
                )

    def rank_of_whole(self, part: str, module: str) -> int | None:
        """The rank that peft divides by even where no factor is a product; None in others' files.

        Args:
            part: ``unet`` or ``text_encoder``.
            module: of the checkpoint.
        """
        said = self._said("rank_pattern", "r", part, module) if self.values.get("peft_type") == "LOKR" else None
        return said if isinstance(said, int) and not isinstance(said, bool) and 0 < said < _LARGEST else None

    def _said(self, patterns: str, key: str, part: str, module: str) -> Any:
        """A number for a module: that of the first pattern that it matches, or the general one."""
        prefix = f"{part}." if f"{part}.r" in self.values else ""
        pattern = self.values.get(f"{prefix}{patterns}")
        for each, value in (pattern if isinstance(pattern, dict) else {}).items():
            if _matches(each, module):
                return value
        return self.values.get(f"{prefix}{key}")

    def strength(self, part: str, module: str, rank: int) -> tuple[float, float]:
        """A module's alpha, and what it is divided by: the rank, or its root (rank-stabilized, Kalajdzievski 2023).

        Raises:
            CheckpointError: the alpha is no number.
        """
        prefix = f"{part}." if f"{part}.r" in self.values else ""
        key = next((each for each in ("lora_alpha", "alpha") if f"{prefix}{each}" in self.values), None)
        value = self._said("alpha_pattern", key or "lora_alpha", part, module)
        value = rank if key is None and value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
            raise CheckpointError(
                f"{self.path} has the alpha {value!r} for {module}", hint="Download or copy the file again."
            )
        return float(value), math.sqrt(rank) if self.values.get(f"{prefix}use_rslora") else rank

    def is_on_input(self, module: str, shape: tuple[int, ...]) -> bool:
        """Whether peft's IA3 factors are of a layer's inputs: those that it calls feed-forward.

        Args:
            module: the layer.
            shape: of the factors; of a matrix's they are a row for inputs, a column for outputs.
        """
        said = self.values.get("feedforward_modules")
        if isinstance(said, list):
            return any(f".{module}".endswith(f".{each}") for each in said if isinstance(each, str))
        return len(shape) == 2 and shape[0] == 1 != shape[1]


def _matches(pattern: str, module: str) -> bool:
    """Whether a pattern of peft's means a module: a regular expression of its path, or of the path's end."""
    expression = without_text_model(pattern.removeprefix("^").removeprefix("base_model.model."))
    whole = pattern.startswith("^")
    try:
        found = re.fullmatch(rf"({'' if whole else '.*[.]'})?({expression})", module)
    except re.error:
        return False
    return found is not None


def _metadata(file: SafetensorsFile) -> Mapping[str, Any]:
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
