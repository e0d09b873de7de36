"""Document of ``qnn-sd report``: its result, and what the page holds for programs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.cli.documents.cost import CostDocument
from qnn_sd.cli.documents.hub_profile import HubMeasurement
from qnn_sd.cli.documents.verify import ImageComparison, ImageRequest, VerificationReport
from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document
from qnn_sd.verification import CallSqnr


class ReportedSoc(StrictModel):
    """The SoC whose binaries were verified.

    Attributes:
        name: of its device profile.
        title: the name on the box.
        htp_arch: its Hexagon architecture.
    """

    name: str
    title: str
    htp_arch: int


class ComponentCalls(StrictModel):
    """SQNR of a component call by call; of a sampling step, both guidance passes together.

    Attributes:
        qdq_against_float: of its QDQ graph against the float model.
        binary_against_qdq: of its context binary against the QDQ graph; empty where that wasn't reached.
    """

    qdq_against_float: list[CallSqnr]
    binary_against_qdq: list[CallSqnr]


class ComponentBytes(StrictModel):
    """Sizes of a component's forms; null for one that wasn't made.

    Attributes:
        float_bytes: of the float graph with its weights.
        qdq_bytes: of the QDQ graph with its weights.
        binary_bytes: of the context binary.
        narrowed_operands: keys and values of attention that have 8 bits in the binary and 16 in the QDQ graph, because
            the SoC's HTP takes no others.
    """

    float_bytes: int | None
    qdq_bytes: int | None
    binary_bytes: int | None
    narrowed_operands: int = 0


class RoundedLayer(StrictModel):
    """A layer that rounding to nearest changes.

    Attributes:
        layer: its name in the float graph.
        op: of the graph.
        gain_db: how much less its output errs on held-out data than with rounding to nearest, dB.
        kept: which rounding it has.
    """

    layer: str
    op: str
    gain_db: float
    kept: Literal["adaround", "nearest"]


class ComponentRounding(StrictModel):
    """How a component was quantized.

    Attributes:
        scheme: bit widths, such as W8A16.
        activations: how many tensors have encodings.
        parameters: how many weights and biases have encodings.
        int8_operands: keys and values of attention that got 8 bits; null where none was up for it.
        int16_operands: those that keep 16 bits; likewise.
        exact_layers: how many layers nearest doesn't change; null where layers weren't rounded one by one.
        layers: the others, in the graph's order.
    """

    scheme: str
    activations: int
    parameters: int
    int8_operands: int | None
    int16_operands: int | None
    exact_layers: int | None
    layers: list[RoundedLayer]


class ReportImages(StrictModel):
    """One prompt in several forms.

    Attributes:
        request: what was asked for.
        images: what each form made of it.
    """

    request: ImageRequest
    images: ImageComparison


class CommandToType(StrictModel):
    """A command line that makes something of the report again.

    Attributes:
        does: what it does.
        line: what to type; files of the sender's stand there as words in capitals.
    """

    does: str
    line: str


class ReportedDevice(StrictModel):
    """What a device of Qualcomm AI Hub has measured of the binaries; without links, which are the sender's.

    Attributes:
        name: of the device.
        os: version of its system.
        made_at: when, UTC, ISO 8601.
        stand_in: whether a stand-in answered, and no device was used.
        image_seconds: of an image, computed from the components' times; null where one is missing.
        components: what was measured of each.
    """

    name: str
    os: str
    made_at: str
    stand_in: bool
    image_seconds: float | None
    components: dict[str, HubMeasurement]


class ReportDocument(Document):
    """What ``qnn-sd report`` wrote into its page; in the page itself it names no user, machine, path or checkpoint.

    Attributes:
        file: the page; null in the page itself.
        verification: verdict, figures, stages, versions, as the report of ``qnn-sd verify`` has them.
        soc: whose binaries were verified.
        calls: SQNR call by call, by component.
        graphs: sizes, by component.
        rounding: how each component was quantized, by component.
        prompts: what each was generated as; may be empty where a gate refused.
        cost: estimated time and memory traffic; null without --cost.
        measured: the same binaries on devices of Qualcomm AI Hub, as qnn-sd profile measured them.
        commands: to type for the same again.
    """

    schema_id: Literal["qnn-sd/report/1"] = Field("qnn-sd/report/1", alias="schema")
    file: str | None
    verification: VerificationReport
    soc: ReportedSoc
    calls: dict[str, ComponentCalls]
    graphs: dict[str, ComponentBytes]
    rounding: dict[str, ComponentRounding]
    prompts: list[ReportImages]
    cost: CostDocument | None
    measured: list[ReportedDevice]
    commands: list[CommandToType]
