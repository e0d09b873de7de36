"""Document of ``qnn-sd cost``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document, ImageSize

By = Literal["whole", "level", "block"]


class TimeEstimate(StrictModel):
    """The compiler's estimate of a time, in milliseconds.

    Attributes:
        ms: the estimate.
        lower_ms: its lower figure.
        upper_ms: its upper figure.
    """

    ms: float
    lower_ms: float
    upper_ms: float


class Traffic(StrictModel):
    """What moves between the HTP and memory in one call.

    Attributes:
        read_bytes: in all.
        written_bytes: in all.
        spilled_bytes: of the written, what on-chip memory had no space for.
        filled_bytes: of the read, what was spilled before.
    """

    read_bytes: int
    written_bytes: int
    spilled_bytes: int
    filled_bytes: int


class GraphCost(StrictModel):
    """What a graph, a part of it, or a sum of parts costs.

    Attributes:
        estimate: of the time.
        traffic: with memory.
        traffic_bound_bytes: what no schedule can save of the traffic.
        macs: multiply-accumulates.
        cycles: of the SoC that was compiled for.
        macs_per_cycle: null where there are no cycles.
        uncosted_op_count: how many ops the compiler has no cost for and counts as nothing.
    """

    estimate: TimeEstimate
    traffic: Traffic
    traffic_bound_bytes: int
    macs: int
    cycles: int
    macs_per_cycle: float | None
    uncosted_op_count: int


class CompiledCost(GraphCost):
    """What one compiled graph costs.

    Attributes:
        optimization_mode: level of QNN's ``htp_graph_finalization_optimization_mode`` that was compiled with.
    """

    optimization_mode: int


class UncostedOp(StrictModel):
    """An op that the compiler has no cost for.

    Attributes:
        name: as the compiler reports it.
        op: its type in the QDQ graph; empty where no node of that name is there.
    """

    name: str
    op: str


class TimeBound(TimeEstimate):
    """The estimate with a product of the same shape in the place of each op without a cost.

    Attributes:
        uncosted_ops: those that even this has no cost for: then it is no bound.
    """

    uncosted_ops: list[UncostedOp]


class Scale(StrictModel):
    """How another SoC's estimate was scaled.

    Attributes:
        soc: whose estimate it is.
        ratio: what it was multiplied with.
        component: whose published times the ratio is of.
    """

    soc: str
    ratio: float
    component: str


class ComponentCost(StrictModel):
    """What was measured of one graph.

    Attributes:
        graph: the cache's quantized graph, the exported one with stand-in encodings, or the one that was given.
        folder: of that graph.
        scale: null where the estimate is the SoC's own.
        whole: the graph compiled whole; null with --only.
        bound: of the whole's time; null without --bound.
        parts: each block or level compiled alone, in the graph's order.
        sum: of the parts; null where the whole or the parts are missing.
        uncosted_ops: those of the whole, or else of the parts.
    """

    graph: Literal["quantized", "stand-ins", "given"]
    folder: str
    scale: Scale | None
    whole: CompiledCost | None
    bound: TimeBound | None
    parts: dict[str, CompiledCost]
    sum: GraphCost | None
    uncosted_ops: list[UncostedOp]


class CostDocument(Document):
    """What graphs cost on the HTP, as ``qnn-sd cost`` estimates it.

    Attributes:
        model: name of the model config; null for a graph that was given.
        size: of the image; null for a graph that was given.
        soc: whose time is estimated.
        compiled_for: the SoC that was compiled for: the same, or the one whose estimate was scaled.
        scaled: whether they differ.
        by: what was compiled beside the whole graph.
        about_estimates: how far estimates have been from silicon, in words.
        components: what was measured, by component, or by a given graph's name.
    """

    schema_id: Literal["qnn-sd/cost/1"] = Field("qnn-sd/cost/1", alias="schema")
    model: str | None
    size: ImageSize | None
    soc: str
    compiled_for: str
    scaled: bool
    by: By
    about_estimates: str
    components: dict[str, ComponentCost]
