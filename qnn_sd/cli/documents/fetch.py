"""Document of ``qnn-sd fetch``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.bundle_manifest import Published, WrappedIO
from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document, ImageSize


class FetchedComponent(StrictModel):
    """A component of a fetched bundle.

    Attributes:
        file: the context binary.
        bytes: of the context binary.
        wrapped: how its inputs and outputs become those of the project's component.
    """

    file: str
    bytes: int
    wrapped: WrappedIO


class FetchDocument(Document):
    """The bundle that ``qnn-sd fetch`` made of published context binaries.

    Attributes:
        model: name of the model config that it runs with.
        soc: that it is for.
        size: of the image.
        folder: of the bundle, as qnn-sd run --bundle takes it.
        cached: whether it was there already.
        published: where the binaries are from.
        url: that the zip was, or would be, downloaded from.
        downloaded: whether it was downloaded now.
        held_to: what the zip's hash was held against.
        qairt: version that compiled the binaries; null where they don't say.
        components: by name.
        remarks: what is to be warned of.
    """

    schema_id: Literal["qnn-sd/fetch/1"] = Field("qnn-sd/fetch/1", alias="schema")
    model: str
    soc: str
    size: ImageSize
    folder: str
    cached: bool
    published: Published
    url: str
    downloaded: bool
    held_to: Literal["its first fetch", "nothing yet"]
    qairt: str | None
    components: dict[str, FetchedComponent]
    remarks: list[str]
