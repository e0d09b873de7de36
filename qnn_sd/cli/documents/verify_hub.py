"""Document of ``qnn-sd verify --hub``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.cli.documents.failure import ErrorDetail
from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document, ImageSize
from qnn_sd.verification import CallSqnr, SqnrSummary

HubForm = Literal["bin", "onnx"]


class SiliconJob(StrictModel):
    """The inference job that a component's outputs are from.

    Attributes:
        id: at AI Hub.
        url: of its page.
        kept: whether its outputs were kept from an earlier command, which asked AI Hub for nothing.
        median_ms: of a call, in ms, as the job measured it.
        best_ms: of the fastest one.
        qairt: version that the device ran; null where the job doesn't say.
    """

    id: str
    url: str
    kept: bool
    median_ms: float
    best_ms: float
    qairt: str | None


class DifferenceGain(StrictModel):
    """How strong the guidance difference is on silicon: the factor by which the expected ones come nearest to it.

    By least squares over all pairs of passes: <found, expected> / <expected, expected>.

    Attributes:
        gain: 1 is as it should be, 0.9 a tenth weaker.
        margin: how far from 1 an error that has nothing to do with the conditioning may bring it.
    """

    gain: float
    margin: float


class ComparedComponent(StrictModel):
    """How near a component on the device is to what is computed here, from the same inputs; SQNR in dB.

    Attributes:
        job: that it is from.
        calls: how many inputs there were.
        against_emulator: silicon against the emulator; null with --no-emulator.
        against_qdq: silicon against the QDQ graph on the CPU: what the gate goes by.
        against_float: silicon against the float graph on the CPU.
        emulator_against_qdq: the emulator against the QDQ graph; null with --no-emulator.
        qdq_against_float: the QDQ graph against the float graph.
        difference_gain: how strong the guidance difference is on silicon, against what it is nearest to; null where no
            input has two passes.
        by_call: silicon call by call against the emulator; with --no-emulator against the QDQ graph.
        parts_at: the first of these that is below the limit; null where none is.
    """

    job: SiliconJob
    calls: int
    against_emulator: SqnrSummary | None
    against_qdq: SqnrSummary
    against_float: SqnrSummary
    emulator_against_qdq: SqnrSummary | None
    qdq_against_float: SqnrSummary
    difference_gain: DifferenceGain | None
    by_call: tuple[CallSqnr, ...]
    parts_at: CallSqnr | None


class SiliconLimit(StrictModel):
    """Below what silicon counts as apart from its emulator, and a component is refused.

    Attributes:
        least_db: over all inputs and of the worst one.
        least_difference_db: of the worst guidance difference.
    """

    least_db: float
    least_difference_db: float


class DeviceVerification(StrictModel):
    """What one device computed.

    Attributes:
        device: its name at AI Hub.
        os: version of its system.
        stand_in: whether it is the stand-in of qnn-sd, which runs the emulator and is no device.
        soc: whose binaries ran.
        htp_arch: Hexagon architecture of that SoC.
        form: what was uploaded: the binary itself, or an EPContext ONNX around it.
        limit: below what a figure is too low.
        binary_qairt: version that compiled the binaries; null where they don't say.
        emulator_qairt: version of the emulator; null where nobody knows.
        components: by name, in the order that an image needs them; those that answered with numbers.
        parts_in: the first component whose silicon is apart from its emulator (with --no-emulator: from its QDQ graph);
            null where none is.
        causes: what that may come from, most likely first.
        error: the refusal; null where all passed.
    """

    device: str
    os: str
    stand_in: bool
    soc: str
    htp_arch: int
    form: HubForm
    limit: SiliconLimit
    binary_qairt: str | None
    emulator_qairt: str | None
    components: dict[str, ComparedComponent]
    parts_in: str | None
    causes: list[str]
    error: ErrorDetail | None


class VerifyHubDocument(Document):
    """What ``qnn-sd verify --hub`` measured.

    Attributes:
        made_at: when, UTC, ISO 8601.
        model: name of the model config.
        size: of the image.
        own_checkpoint: whether another checkpoint than the config's was built.
        verdict: in a word; where a stand-in answered, it says nothing of a device.
        stand_in: whether a stand-in answered, and no device was used.
        devices: one after the other, as they were typed.
        versions: of packages, by name.
        file: the report; null without --report.
        error: the first refusal, which the command ends with; else null.
    """

    schema_id: Literal["qnn-sd/verify-hub/1"] = Field("qnn-sd/verify-hub/1", alias="schema")
    made_at: str
    model: str
    size: ImageSize
    own_checkpoint: bool
    verdict: Literal["passed", "refused"]
    stand_in: bool
    devices: list[DeviceVerification]
    versions: dict[str, str]
    file: str | None
    error: ErrorDetail | None
