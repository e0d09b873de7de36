"""Document of ``qnn-sd verify FILE|FOLDER``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.binaries.found import Kind
from qnn_sd.bundle_manifest import Published
from qnn_sd.cli.documents.failure import ErrorDetail
from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document
from qnn_sd.verification import SqnrSummary


class VerifiedGraph(StrictModel):
    """What was seen of a graph of a context binary on the emulator.

    Attributes:
        binary: the one that it is in.
        graph: its name.
        network: what it is by its inputs and outputs; null where it is like no network of a diffusion model.
        inputs: what it was fed: what the build kept to verify with, or random values of a fixed seed.
        calls: how often it was run.
        finite: whether all outputs were finite.
        repeats: whether the same input gave the same bits again; null where it wasn't asked twice.
        responds: whether another input gave another output; null where it wasn't asked.
        constant_outputs: outputs whose numbers are all the same.
        reference: what it was compared with; null for nothing.
        sqnr: against that reference; null without one.
        qdq_against_float: its QDQ graph against the float graph, with the same inputs; null where either isn't here.
    """

    binary: str
    graph: str
    network: str | None
    inputs: Literal["kept", "random"]
    calls: int
    finite: bool
    repeats: bool | None
    responds: bool | None
    constant_outputs: list[str]
    reference: Literal["QDQ graph", "float graph"] | None
    sqnr: SqnrSummary | None
    qdq_against_float: SqnrSummary | None


class VerifyBinaryDocument(Document):
    """What ``qnn-sd verify FILE|FOLDER`` saw.

    Attributes:
        source: the file or folder, as it was typed.
        kind: what it is.
        published: where a bundle's binaries are from that somebody else compiled; null elsewhere.
        graphs: all that were run.
        shows: what that says of the binary, in words.
        does_not_show: what it doesn't say, in words.
        error: the refusal that the command ends with; else null.
    """

    schema_id: Literal["qnn-sd/verify-binary/1"] = Field("qnn-sd/verify-binary/1", alias="schema")
    source: str
    kind: Kind
    published: Published | None
    graphs: list[VerifiedGraph]
    shows: str
    does_not_show: str
    error: ErrorDetail | None
