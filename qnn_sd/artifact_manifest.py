"""What an artifact's folder says of itself: ``manifest.json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document

# Part of every key too, so that artifacts of another format are built anew.
SCHEMA = "qnn-sd/artifact/1"


class ArtifactFile(StrictModel):
    """A file of an artifact.

    Attributes:
        bytes: its size.
        sha256: of its content, in hex.
    """

    bytes: int
    sha256: str


class Work(StrictModel):
    """What a stage has to do: what decides its time on a given machine, and nothing else.

    Attributes:
        variant: how it is done, where a stage has several ways: ``adaround``, ``nearest`` or ``given`` for quantize,
            ``qdq`` or ``binary`` for verify.
        component: of the model; null where the stage is of the whole model.
        pixels: of the image.
        parameters: of the networks that it works on, by component.
        calls: how often each network or sample is gone through, by what is done with it.
        detail: what else of its settings changes the time, in words.
    """

    variant: str = ""
    component: str | None = None
    pixels: int
    parameters: dict[str, int]
    calls: dict[str, int] = Field(default_factory=dict)
    detail: str = ""


class ArtifactManifest(Document):
    """``manifest.json`` in the folder of a stage's result: what it was made of, and its files.

    Attributes:
        key: hex hash of stage, name, inputs, settings and tools.
        stage: that made it.
        name: ``<model>[.<component>][.<subject>]``.
        inputs: hashes of files or keys of artifacts, by name.
        settings: everything else that changes the result.
        tools: versions of what did the work, by name.
        seconds: how long the build took that ended it.
        work: what there was to do; null where nobody said.
        cores: that it might use; 0 where nobody counted.
        resumed: whether an earlier build had done a part of it, whose seconds aren't counted.
        metadata: what the stage says of the result; its fields depend on the stage.
        files: by path relative to the folder, with slashes.
    """

    schema_id: Literal["qnn-sd/artifact/1"] = Field("qnn-sd/artifact/1", alias="schema")
    key: str
    stage: str
    name: str
    inputs: dict[str, str]
    settings: dict[str, Any]
    tools: dict[str, str]
    seconds: float
    work: Work | None = None
    cores: int = 0
    resumed: bool = False
    metadata: dict[str, Any]
    files: dict[str, ArtifactFile]
