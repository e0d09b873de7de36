"""Writes ``qnn_sd/schemas/*.schema.json`` from the models of the documents; ``--check`` only compares.

Types and required fields are pydantic's, descriptions are the models' own docstrings.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from qnn_sd.artifact_manifest import ArtifactManifest
from qnn_sd.bundle_manifest import Bundle
from qnn_sd.cli import documents
from qnn_sd.image_metadata import ImageDocument
from qnn_sd.schemas import Document

FOLDER = Path(__file__).resolve().parents[1] / "qnn_sd" / "schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTE = re.compile(r"^(\w+): (.*)$")


def document_models() -> dict[str, type[Document]]:
    """Every document by its name, which is the middle of its ``schema``: ``run`` of ``qnn-sd/run/1``."""
    exported = [getattr(documents, name) for name in documents.__all__]
    models = [each for each in exported if issubclass(each, Document)]
    return {schema_id(each).split("/")[1]: each for each in (*models, ArtifactManifest, Bundle, ImageDocument)}


def schema_id(model: type[Document]) -> str:
    """A document's first field."""
    return str(model.model_fields["schema_id"].default)


def attribute_texts(model: type[BaseModel]) -> dict[str, str]:
    """Descriptions of a model's fields: its docstring's ``Attributes``, and those of its bases."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        lines = (inspect.cleandoc(each.__doc__ or "").partition("Attributes:\n")[2]).splitlines()
        name = ""
        for line in lines:
            if line and not line.startswith("    "):
                break
            if match := _ATTRIBUTE.match(line.removeprefix("    ")):
                name, found[match[1]] = match[1], match[2]
            elif name and line.strip():
                found[name] += f" {line.strip()}"
    return {name: _in_json_words(text[0].upper() + text[1:]) for name, text in found.items()}


def _in_json_words(text: str) -> str:
    return re.sub(r"\bNone\b", "null", text.replace("``", "`"))


class _Described(GenerateJsonSchema):
    """Adds the docstrings' texts where pydantic has a title alone, and leaves no field out."""

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ARG002 (pydantic's)
        """Every field is printed, also where it has its default."""
        return True

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """Of one model, nested ones included."""
        made, model = super().model_schema(schema), schema["cls"]
        texts = attribute_texts(model)
        made["description"] = _in_json_words(inspect.cleandoc(model.__doc__ or "").partition("\n\nAttributes:")[0])
        for name, each in made["properties"].items():
            each.pop("title", None)
            each["description"] = texts["schema_id" if name == "schema" else name]
        return made


def schema_of(model: type[Document]) -> dict[str, Any]:
    """The JSON schema of a document, as it is printed: no field is missing, and there is no other."""
    name = schema_id(model).split("/")[1]
    made = model.model_json_schema(mode="serialization", schema_generator=_Described)
    return {"$schema": _DIALECT, "$id": f"{name}.schema.json", **made, "title": schema_id(model)}


def text_of(model: type[Document]) -> str:
    """The file's content."""
    return json.dumps(schema_of(model), ensure_ascii=False, indent=2) + "\n"


def main() -> int:
    """Writes or compares; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a file isn't current")
    check = parser.parse_args().check
    wanted = {FOLDER / f"{name}.schema.json": text_of(model) for name, model in document_models().items()}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]
    left = sorted(set(FOLDER.glob("*.schema.json")) - set(wanted))
    for path in (*stale, *left):
        print(path.relative_to(FOLDER.parents[1]))
    if check:
        return 1 if stale or left else 0
    for path in stale:
        path.write_text(wanted[path], "utf-8")
    for path in left:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
