"""Document of ``qnn-sd profile``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.cli.documents.failure import ErrorDetail
from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document, ImageSize


class HubOpTime(StrictModel):
    """A layer of a network on a device.

    Attributes:
        name: as the device has it.
        type: of the op; empty where the device doesn't say.
        unit: compute unit, such as NPU.
        ms: its time, in milliseconds; null where it wasn't measured.
        cycles: of the HTP; null where they weren't counted.
    """

    name: str
    type: str
    unit: str
    ms: float | None
    cycles: int | None


class HubMeasurement(StrictModel):
    """What a device measured of a component.

    Attributes:
        median_ms: a call, in milliseconds.
        best_ms: the shortest call.
        ai_hub_ms: a call, as AI Hub sums it up.
        calls: how many were measured; 0 where AI Hub gives no single ones.
        first_load_ms: the first load; null where it wasn't measured.
        warm_load_ms: a later load; null likewise.
        peak_memory_bytes: the most memory while it ran; null likewise.
        layers: how many, by compute unit.
        slowest: the layers that took longest.
    """

    median_ms: float
    best_ms: float
    ai_hub_ms: float
    calls: int
    first_load_ms: float | None
    warm_load_ms: float | None
    peak_memory_bytes: int | None
    layers: dict[str, int]
    slowest: list[HubOpTime]


class HubProfiledComponent(StrictModel):
    """A component's job at AI Hub.

    Attributes:
        component: its name.
        sha256: of the context binary.
        job: identifier at AI Hub.
        url: the job's page.
        state: in words, such as done, failed or waiting for a device.
        measured: on the device; null where the job hasn't ended well, or its profile can't be had.
        estimate_ms: our estimate of a call by the QNN compiler; null where none was made.
        estimate: whose estimate that is, in words; null likewise.
        published_ms: a call as the chip's vendor published it; null for another network than it is of.
        published: whose figure that is, in words; null likewise.
    """

    component: str
    sha256: str
    job: str
    url: str
    state: str
    measured: HubMeasurement | None
    estimate_ms: float | None
    estimate: str | None
    published_ms: float | None
    published: str | None


class HubProfiledDevice(StrictModel):
    """A device at AI Hub with what was measured there.

    Attributes:
        name: such as Samsung Galaxy S24.
        os: version of its system.
        soc: whose binaries ran.
        title: that SoC's name on the box.
        proxy: whether it is other hardware that stands for a chip.
        remark: why another SoC's binaries ran; empty for its own.
        qairt: QAIRT release that the jobs asked for; null for AI Hub's own choice.
        folder: name of the bundle's folder in the cache.
        components: their jobs.
        image_seconds: computed, not measured; null where a component is missing.
        image: how that was computed, in words.
    """

    name: str
    os: str
    soc: str
    title: str
    proxy: bool
    remark: str
    qairt: str | None
    folder: str
    components: list[HubProfiledComponent]
    image_seconds: float | None
    image: str


class HubProfileDocument(Document):
    """What components take on devices of Qualcomm AI Hub, as ``qnn-sd profile`` measures it; also kept in the cache.

    Attributes:
        made_at: when, UTC, ISO 8601.
        versions: of qnn-sd and of the packages that compile, by name.
        stand_in: whether a stand-in answered, and no device was used.
        note: the same in words; null for AI Hub.
        model: name of the model config.
        size: of the image.
        steps: sampling steps of the computed time.
        passes: guidance passes of a step.
        devices: one after the other.
        error: what the command ended with where a job failed or didn't end; else null.
    """

    schema_id: Literal["qnn-sd/hub-profile/1"] = Field("qnn-sd/hub-profile/1", alias="schema")
    made_at: str
    versions: dict[str, str]
    stand_in: bool
    note: str | None
    model: str
    size: ImageSize
    steps: int
    passes: int
    devices: list[HubProfiledDevice]
    error: ErrorDetail | None
