"""Documents of ``qnn-sd hub``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.schemas import Document


class HubStandInDocument(Document):
    """The stand-in for AI Hub that ``qnn-sd hub stand-in`` runs; printed when it answers.

    Attributes:
        url: its address.
        client_ini: the file that AI Hub's client reads, whose path goes into QAIHUB_CLIENT_INI.
        folder: of its models and jobs.
        pid: its process.
        faults: what it was told to do wrong, as typed.
    """

    schema_id: Literal["qnn-sd/hub-stand-in/1"] = Field("qnn-sd/hub-stand-in/1", alias="schema")
    url: str
    client_ini: str
    folder: str
    pid: int
    faults: list[str]
