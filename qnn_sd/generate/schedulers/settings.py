"""Settings in a checkpoint's ``scheduler_config.json``: reading them, and refusing by name what isn't built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from qnn_sd.errors import UnsupportedModelError


def number(config: Mapping[str, Any], key: str, default: float) -> float:
    """A number in a scheduler's config.

    Raises:
        UnsupportedModelError: it is there and no finite number.
    """
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnsupportedModelError(
            f"{key} is {value!r} in scheduler_config.json, which is no number",
            hint=f"Correct {key} in the checkpoint's scheduler_config.json.",
        )
    return value


def optional_number(config: Mapping[str, Any], key: str) -> float | None:
    """A number in a scheduler's config, or None where it is missing or null.

    Raises:
        UnsupportedModelError: it is no finite number.
    """
    return None if config.get(key) is None else number(config, key, 0)


def flag(config: Mapping[str, Any], key: str, default: bool = False) -> bool:
    """A switch in a scheduler's config; null is off, as in diffusers."""
    return bool(config.get(key, default))


def one_of(config: Mapping[str, Any], key: str, *builds: Any) -> Any:
    """A setting that has a few values; the first one is the default.

    Raises:
        UnsupportedModelError: it has another value.
    """
    value = config.get(key, builds[0])
    if value not in builds:
        refuse(key, value, builds)
    return value


def refuse(key: str, value: Any, builds: tuple[Any, ...]) -> NoReturn:
    """Refuses a setting that isn't built.

    Args:
        key: its name.
        value: what the config has.
        builds: what would be taken.

    Raises:
        UnsupportedModelError: always. ``make_scheduler`` puts a scheduler that works into its hint.
    """
    raise UnsupportedModelError(
        f"{key} is {value!r} in scheduler_config.json, which qnn-sd doesn't build",
        why=f"It builds: {', '.join(map(str, builds))}.",
        hint="No scheduler of qnn-sd can sample this checkpoint. diffusers may.",
    )
