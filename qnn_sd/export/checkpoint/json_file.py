"""JSON objects that a checkpoint brings along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.not_weights import refuse_no_json


def read_config(path: Path) -> dict[str, Any]:
    """A config without the note of where it was saved from: a path on somebody's machine that would go into artifacts.

    Raises:
        CheckpointError: it is missing or not a JSON object.
    """
    return {key: value for key, value in read_json(path).items() if key != "_name_or_path"}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CheckpointError: it is missing or not a JSON object.
    """
    refuse_no_json(path)
    try:
        value = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing", hint="Is the checkpoint complete?") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} can't be read", why=str(error), hint="Is the checkpoint complete?") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not a JSON object", hint="Is this a diffusers checkpoint?")
    return value
