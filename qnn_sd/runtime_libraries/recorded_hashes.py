"""Hashes of artifacts that aren't pinned: recorded at the first fetch, checked from then on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import Field, RootModel, ValidationError

from qnn_sd import resources
from qnn_sd.errors import ConfigError, OutputError
from qnn_sd.output_files import output_error, written_aside


class _Hashes(RootModel[dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]]):
    """SHA-256 in hex, by coordinate."""


def hash_record_file() -> Path:
    """The file of the recorded hashes. It isn't in the cache: if it is lost, the next fetch trusts what it gets."""
    return resources.data() / "runtime_hashes.json"


def _read() -> dict[str, str]:
    path = hash_record_file()
    try:
        return _Hashes.model_validate(json.loads(path.read_text("utf-8"))).root
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, ValidationError) as error:
        raise ConfigError(
            f"{path} can't be read",
            why=(str(error).splitlines() or [type(error).__name__])[0],
            hint="Repair it. If you delete it, the next fetch trusts what it gets.",
        ) from error


def recorded_hash(coordinate: str) -> str | None:
    """The SHA-256 that an artifact had when it was first fetched, or None.

    Raises:
        ConfigError: the record can't be read.
    """
    return _read().get(coordinate)


def record_hash(coordinate: str, sha256: str) -> None:
    """Records the SHA-256 of an artifact.

    Raises:
        ConfigError: the record can't be read.
        OutputError: it can't be written.
    """
    path = hash_record_file()
    hashes = _read() | {coordinate: sha256}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _with_hint(output_error(path, error)) from error
    try:
        with written_aside(path) as temporary:
            temporary.write_text(_Hashes(hashes).model_dump_json(indent=2) + "\n", "utf-8")
    except OutputError as error:
        raise _with_hint(error) from error


def _with_hint(error: OutputError) -> OutputError:
    return OutputError(error.what, why=error.why, hint="Set QNN_SD_DATA to a folder that you can write to.")
