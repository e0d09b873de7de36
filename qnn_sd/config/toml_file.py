"""Strict models of TOML files.

A key that isn't known is an error with a suggestion: a typo must not become a default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from qnn_sd.errors import ConfigError, did_you_mean


class StrictModel(BaseModel):
    """A model that refuses keys it doesn't know, and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=StrictModel)


def _part_of(annotation: Any) -> type[StrictModel] | None:
    """The model in a field's type, such as ``Pin`` in ``tuple[Pin, ...]``, or None."""
    if isinstance(annotation, type) and issubclass(annotation, StrictModel):
        return annotation
    return next(filter(None, map(_part_of, get_args(annotation))), None)


def _owner(kind: type[StrictModel], location: Sequence[int | str]) -> type[StrictModel]:
    """The model that a key at a location belongs to."""
    for part in location[:-1]:
        if isinstance(part, str) and part in kind.model_fields:
            kind = _part_of(kind.model_fields[part].annotation) or kind
    return kind


def read_toml(path: Path, kind: type[Model]) -> Model:
    """A TOML file as its model.

    Raises:
        ConfigError: it can't be read, no TOML, an unknown key (the nearest is suggested) or a bad value.
    """
    try:
        return kind.model_validate(tomllib.loads(path.read_text("utf-8-sig")))
    except OSError as error:
        raise ConfigError(f"{path} can't be read", why=str(error.strerror), hint=f"Correct {path}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML", why=str(error), hint=f"Correct {path}.") from error
    except ValidationError as error:
        # A misspelt key is also a missing one: what was written comes before what is lacking.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(str(first["loc"][-1]), _owner(kind, first["loc"]).model_fields)
            raise ConfigError(f"{path} has an unknown key {key!r}", hint=hint) from error
        raise ConfigError(
            f"{path} has a bad value for {key!r}", why=str(first["msg"]), hint=f"Correct {path}."
        ) from error


def toml_names(folder: Path) -> list[str]:
    """Names of a folder's TOML files."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def refuse_other_name(path: Path, name: str) -> None:
    """Raises a ConfigError where a file isn't named after what it describes: the cache's folders are."""
    if name != path.stem:
        raise ConfigError(
            f"{path} describes {name!r}",
            why="A file is named after what it describes.",
            hint=f"Rename the file, or write {path.stem!r} in it.",
        )
