"""Document of ``qnn-sd verify --bisect``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.cli.documents.failure import ErrorDetail
from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document


class BisectedOp(StrictModel):
    """An op of the graph.

    Attributes:
        name: its name.
        type: its ONNX type.
        block: the block that it belongs to, by its name.
        shape: of its first output.
    """

    name: str
    type: str
    block: str
    shape: list[int]


class WrittenReproduction(StrictModel):
    """The reproduction to send.

    Attributes:
        file: the zip file.
        bytes: its size.
        sqnr_db: of its worst output, in dB; null where it is refused or crashes.
        own_weights: whether weights of the graph are inside.
        own_inputs: whether inputs of the graph are inside.
        own_names: whether names of the graph are inside.
    """

    file: str
    bytes: int
    sqnr_db: float | None
    own_weights: bool
    own_inputs: bool
    own_names: bool


class BisectedGraph(StrictModel):
    """What was found in one graph.

    Attributes:
        graph: the component, or the folder's name.
        ops: how many ops it has, beside QuantizeLinear, DequantizeLinear and constants.
        fault: what is wrong with it; null where nothing is.
        why: what the compiler said of a graph that it refuses or crashes on; else empty.
        sqnr_db: of the whole graph's worst output against the CPU, in dB; null where it didn't run, or isn't finite.
        input: which of the inputs that is of.
        op: the first op whose output parts, that is refused, or that the compiler crashes on; null where none is.
        pattern: the ops that the fault needs, in the graph's order.
        fused: whether the fault is gone where the tensors within the pattern are outputs as well.
        op_sqnr_db: of the pattern's output, fed with the CPU's values, in dB; null as above.
        inputs_sqnr_db: of what the pattern reads, in the graph up to it, by tensor, in dB; 200 is exact.
        compiles: how many graphs were compiled.
        reproduction: what was written; null where nothing was.
    """

    graph: str
    ops: int
    fault: Literal["parts", "refused", "crashed"] | None
    why: str
    sqnr_db: float | None
    input: str
    op: BisectedOp | None
    pattern: list[BisectedOp]
    fused: bool
    op_sqnr_db: float | None
    inputs_sqnr_db: dict[str, float | None]
    compiles: int
    reproduction: WrittenReproduction | None


class BisectDocument(Document):
    """What ``qnn-sd verify --bisect`` found.

    Attributes:
        soc: what was compiled for.
        graphs: the graphs, in their order.
        error: the failure that the command ends with; null where every graph computes what it says.
    """

    schema_id: Literal["qnn-sd/bisect/1"] = Field("qnn-sd/bisect/1", alias="schema")
    soc: str
    graphs: list[BisectedGraph]
    error: ErrorDetail | None
