"""What stands beside an adapter's tensors: peft's ``adapter_config.json``, or the metadata that diffusers writes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint.json_file import read_json
from qnn_sd.export.checkpoint.parts import without_text_model
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile

# Where diffusers notes the alphas of the LoRAs it writes.
_METADATA = "lora_adapter_metadata"
_MERGED = ("LORA", "LOHA", "LOKR", "IA3")


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
            return cls(file.path, _metadata(file))
        values = read_json(config)
        kind = values.get("peft_type", "LORA")
        if kind not in _MERGED:
            raise UnsupportedModelError(
                f"{config.parent} is an adapter of the kind {kind}, which qnn-sd doesn't merge",
                why=f"{config.name} says so. Merged are {', '.join(_MERGED)}.",
                hint="Use a LoRA, or merge it into a checkpoint with peft.",
            )
        return cls(config, values)

    def strength(self, part: str, module: str, rank: int) -> tuple[float, float]:
        """A module's alpha, and what it is divided by: the rank, or its root (rank-stabilized, Kalajdzievski 2023).

        Raises:
            CheckpointError: the alpha is no number.
        """
        prefix = f"{part}." if f"{part}.r" in self.values else ""
        pattern = self.values.get(f"{prefix}alpha_pattern")
        pattern = pattern if isinstance(pattern, dict) else {}
        # peft's patterns name a module by the end of its path.
        matches = [value for key, value in pattern.items() if f".{module}".endswith(f".{_end(key)}")]
        said = self.values.get(f"{prefix}lora_alpha", self.values.get(f"{prefix}alpha", rank))
        value = matches[0] if matches else said
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
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


def _end(pattern: str) -> str:
    return without_text_model(pattern.removeprefix("^").removeprefix("base_model.model."))


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
