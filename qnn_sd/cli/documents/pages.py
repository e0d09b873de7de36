"""Document of ``qnn-sd docs``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document


class Page(StrictModel):
    """A page of the documentation.

    Attributes:
        name: what the command calls it.
        title: its heading.
        file: the file, in Markdown.
    """

    name: str
    title: str
    file: str


class DocsDocument(Document):
    """The pages that are installed, or the one that was named.

    Attributes:
        pages: the first page, then the others by name.
    """

    schema_id: Literal["qnn-sd/docs/1"] = Field("qnn-sd/docs/1", alias="schema")
    pages: list[Page]
