"""What qnn-sd writes for programs: versioned JSON documents, each with a schema beside this file.

``<name>.schema.json`` describes the documents whose first field is ``"schema": "qnn-sd/<name>/<version>"``. The files
are made from the pydantic models by ``tools/schemas.py``. One word means one thing in all of them:

======================  ================================================================
``folder``, ``file``    path of a folder, of a file
``bytes``, ``*_bytes``  a size in bytes
``seconds``             a time in seconds; ``*_ms`` is one in milliseconds
``device``              a phone's serial number, as adb names it
``soc``                 name of a device profile
``component``           a part of the model, such as ``unet``
``target``              where components run: ``cpu``, ``emulator``, ``adb:<device>``
``size``                width and height of an image in pixels
======================  ================================================================
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from qnn_sd.config import StrictModel


class Document(StrictModel):
    """A JSON document with its schema's name and version.

    Attributes:
        schema_id: ``qnn-sd/<name>/<version>``, in JSON ``schema``. The version is raised when a field goes or changes
            its meaning; a new field alone doesn't raise it.
    """

    schema_id: str = Field(alias="schema")

    @property
    def content(self) -> dict[str, Any]:
        """The document as plain JSON values, in the order of its fields."""
        return self.model_dump(mode="json", by_alias=True)


class ImageSize(StrictModel):
    """Of an image, in pixels.

    Attributes:
        width: in pixels.
        height: in pixels.
    """

    width: int
    height: int
