"""Documents for others' eyes: nothing private in them, and the words of the format as they are."""

from __future__ import annotations

from typing import Any, Literal, get_origin

from pydantic import BaseModel

from qnn_sd.schemas import Document
from qnn_sd.targets.adb.diagnostics import Privacy


def redacted(document: Document, privacy: Privacy) -> dict[str, Any]:
    """A document as JSON, its private names replaced; a user or a checkpoint may be called as a word of the format is.

    Args:
        document: what was measured.
        privacy: knows what is private.
    """
    told: dict[str, Any] = privacy.redact(document.content)
    _restore(told, document)
    return told


def _restore(told: dict[str, Any], model: BaseModel) -> None:
    """Puts the values back that can only be one of a few words."""
    for name, field in type(model).model_fields.items():
        value, key = getattr(model, name), field.serialization_alias or field.alias or name
        if get_origin(field.annotation) is Literal:
            told[key] = value
        elif isinstance(value, BaseModel):
            _restore(told[key], value)
        elif isinstance(value, dict):
            for which, each in value.items():
                _restore_each(told[key][which], each)
        else:
            _restore_each(told[key], value)


def _restore_each(told: Any, value: Any) -> None:
    if isinstance(value, BaseModel):
        _restore(told, value)
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            _restore_each(told[place], each)
