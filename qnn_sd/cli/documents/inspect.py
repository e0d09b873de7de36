"""Document of ``qnn-sd inspect``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.binaries.binary_info import BinaryInfo
from qnn_sd.binaries.found import Kind
from qnn_sd.binaries.loading import LoadingOnSoc
from qnn_sd.bundle_manifest import Published
from qnn_sd.cli.documents.failure import ErrorDetail
from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document
from qnn_sd.verification import ComponentVerification


class RuntimeVersion(StrictModel):
    """A QNN runtime, and whether it loads all binaries.

    Attributes:
        runtime: which one.
        qairt: its version; null where it isn't known.
        loads: whether its release isn't older than the binaries' compiler; null where either isn't known.
    """

    runtime: Literal["emulator", "fetched phone libraries", "published phone libraries"]
    qairt: str | None
    loads: bool | None


class InspectedBinary(StrictModel):
    """A context binary, and what is known of it.

    Attributes:
        file: the file that it is in.
        name: what tells it from the others: its component or file, and its SoC where a file holds several.
        member: its name in an archive of several; null where it is the only one.
        embedded: whether it is in a node of an EPContext model instead of a file of its own.
        bytes: its size.
        component: that a bundle says it is; null elsewhere.
        networks: what each graph is by its inputs and outputs; null where it is like no network of a diffusion model.
        qairt: version that compiled it; null where it doesn't say.
        soc: name of the SoC that it was compiled for, by QNN's number; null where that isn't known.
        info: what it says of itself; null where it can't be read.
        loads: where it would load, by device profile.
        verification: what the bundle's build measured of it; null elsewhere.
        problems: what is wrong with it, in words.
    """

    file: str
    name: str
    member: str | None
    embedded: bool
    bytes: int
    component: str | None
    networks: list[str | None]
    qairt: str | None
    soc: str | None
    info: BinaryInfo | None
    loads: list[LoadingOnSoc]
    verification: ComponentVerification | None
    problems: list[str]


class InspectDocument(Document):
    """What ``qnn-sd inspect`` found.

    Attributes:
        source: the file or folder, as it was typed.
        kind: what it is.
        bytes: of all binaries together.
        model: that a bundle is of; null elsewhere.
        published: where a bundle's binaries are from that somebody else compiled; null elsewhere.
        compiled: who compiled our binaries elsewhere, such as Qualcomm AI Hub or the stand-in for it, in words; null
            where they were compiled here.
        binaries: all of them.
        runtimes: those that are known here.
        other_files: files of a folder that are no context binaries, with the reason.
        problems: all that is wrong, in words.
        error: the failure that the command ends with where something is wrong; else null.
    """

    schema_id: Literal["qnn-sd/inspect/1"] = Field("qnn-sd/inspect/1", alias="schema")
    source: str
    kind: Kind
    bytes: int
    model: str | None
    published: Published | None
    compiled: str | None
    binaries: list[InspectedBinary]
    runtimes: list[RuntimeVersion]
    other_files: list[str]
    problems: list[str]
    error: ErrorDetail | None
