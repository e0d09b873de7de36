"""A component's ``config.json``, read strictly: what the exporter doesn't build is refused by name."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from qnn_sd.errors import UnsupportedModelError

# What trainers and loaders leave in a config: how, and not what was computed.
_LEFTOVERS = frozenset(
    (
        *("architectures", "ema_decay", "enable_xformers_memory_efficient_attention", "epoch", "global_step"),
        *("gradient_checkpointing", "learning_rate", "lora_alpha", "lora_rank", "low_cpu_mem_usage", "seed", "step"),
        *("train_batch_size", "training", "use_checkpoint", "use_ema", "use_fp16", "use_gradient_checkpointing"),
        *("use_memory_efficient_attention", "use_safetensors", "use_xformers"),
    )
)


class StrictConfig:
    """The options of one component.

    Args:
        owner: the class the config is of, for messages (``UNet2DConditionModel``).
        raw: the parsed ``config.json``.
        read: options that the builder reads, with what they are when left out; a value must be of
            the default's kind (numbers of layers and channels are positive).
        only: options that it doesn't build, with the values that change nothing.
        ignored: options that change nothing here, whatever they are.
        per_level: options of ``read`` that may also be a list with one value a level.

    Attributes:
        unknown: options that are in no list and change nothing: they are off, a note in words, or of training.

    Raises:
        UnsupportedModelError: any other option that is in no list, or a value that would need work that nobody did.
    """

    def __init__(
        self,
        owner: str,
        raw: Mapping[str, Any],
        read: Mapping[str, Any],
        only: Mapping[str, Iterable[Any]],
        ignored: Iterable[str],
        per_level: Iterable[str] = (),
    ) -> None:
        self._owner = owner
        self.unknown: list[str] = []
        for key, value in raw.items():
            if key.startswith("_") or key in ignored:
                continue
            if key in read:
                parts = value if key in per_level and isinstance(value, list) else [value]
                if not parts or not all(_of_kind(part, read[key]) for part in parts):
                    raise UnsupportedModelError(
                        f"{owner}.{key} is {value!r}, which can't be",
                        why=f"By default it is {read[key]!r}.",
                        hint="Correct config.json.",
                    )
                continue
            if key not in only and (_is_off(value) or key in _LEFTOVERS):
                self.unknown.append(key)
                continue
            if key not in only:
                raise UnsupportedModelError(
                    f"{owner} has the option {key!r}, which qnn-sd doesn't know",
                    why=f"It is {value!r} in this checkpoint's config.json.",
                    hint="Use a checkpoint of Stable Diffusion 1.x's architecture.",
                )
            if value not in list(only[key]):
                self.refuse(key, value, only[key])
        self._values = {**read, **{key: value for key, value in raw.items() if key in read}}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def refuse(self, key: str, value: object, accepted: Iterable[Any]) -> None:
        """Raises the error for an option's value."""
        listed = ", ".join(repr(item) for item in accepted)
        raise UnsupportedModelError(
            f"{self._owner}.{key} is {value!r}, which qnn-sd doesn't build",
            why=f"It builds: {listed}.",
            hint="Use a checkpoint of Stable Diffusion 1.x's architecture.",
        )

    def refuse_uneven(self, width: int, key: str, shares: int) -> None:
        """Raises where a width in channels can't be split evenly, as an option says.

        Args:
            width: in channels.
            key: the option.
            shares: its value, the number of groups or heads.
        """
        if width % shares:
            raise UnsupportedModelError(
                f"{self._owner}.{key} is {shares}, which {width} channels can't be shared by",
                why="A single file doesn't say it: Stable Diffusion 1.x's value is taken.",
                hint="Give the checkpoint's folder in diffusers' layout, whose config.json says it; correct that one.",
            )

    def choice(self, key: str, accepted: Iterable[Any]) -> Any:
        """An option's value, one of the accepted ones."""
        value = self[key]
        if value not in list(accepted):
            self.refuse(key, value, accepted)
        return value

    def per_level(self, key: str, levels: int) -> list[Any]:
        """An option given once for all levels, or as a list with one value a level."""
        value = self[key]
        if not isinstance(value, (list, tuple)):
            return [value] * levels
        if len(value) != levels:
            raise UnsupportedModelError(
                f"{self._owner}.{key} has {len(value)} entries for {levels} levels", hint="Correct config.json."
            )
        return list(value)

    def kinds(self, key: str, levels: int, known: Iterable[str]) -> list[str]:
        """The kind of block of each level, all of them among those that are built."""
        kinds = self.per_level(key, levels)
        for kind in kinds:
            if kind not in list(known):
                self.refuse(key, kind, known)
        return kinds


def _is_off(value: object) -> bool:
    """Whether an option that isn't known asks for nothing."""
    return not value or isinstance(value, str)


def _of_kind(value: object, default: object) -> bool:
    """Whether a value is of a default's kind; whole numbers are counts, so they are positive."""
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and bool(value) and all(_of_kind(v, default[0]) for v in value)
    if isinstance(default, float):
        # JSON's whole numbers may be larger than any float; what isn't finite is no number below it, either.
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < sys.float_info.max
    if isinstance(default, int):
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    if default is None:
        return value is None or _of_kind(value, 1)
    return isinstance(value, type(default))
