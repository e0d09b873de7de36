"""Document of ``qnn-sd bench``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.cli.documents.failure import ErrorDetail
from qnn_sd.cli.documents.phones import BatteryState, PhoneDescription, ThermalZoneState
from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document, ImageSize


class Distribution(StrictModel):
    """Repeated measurements of a time, in seconds.

    Attributes:
        median: the 50th percentile.
        p10: the 10th percentile.
        p90: the 90th percentile.
        least: the smallest value.
        most: the largest value.
        samples: each value, in the order of measurement: a phone that throttles shows there.
    """

    median: float
    p10: float
    p90: float
    least: float
    most: float
    samples: list[float]


class CallTimes(StrictModel):
    """What calls took.

    Attributes:
        wall_seconds: as the host sees them.
        computing_seconds: the graph alone, on the worker's clock.
        host_path_seconds: what is left: the connection, both of its ends, and the combination of the passes.
    """

    wall_seconds: Distribution
    computing_seconds: Distribution
    host_path_seconds: Distribution


class ColdStarts(StrictModel):
    """Fresh workers.

    Attributes:
        loads: how many of them loaded the component.
        calls: how many were started, for one call each.
        start_seconds: until the worker answers.
        load_seconds: of loading the component, on the worker's clock.
        first_call: the first call.
    """

    loads: int
    calls: int
    start_seconds: Distribution
    load_seconds: Distribution
    first_call: CallTimes


class WarmCalls(CallTimes):
    """Calls in one worker, after one that isn't counted.

    Attributes:
        loads: how often the worker loaded the component.
        calls: how many.
        passes: the same of each guidance pass; null where a call has one alone.
    """

    loads: int
    calls: int
    passes: CallTimes | None


class PhoneCondition(StrictModel):
    """A phone's condition at one moment.

    Attributes:
        battery: null where it can't be read.
        warmest_zone: null where none can be read.
    """

    battery: BatteryState | None
    warmest_zone: ThermalZoneState | None


class MeasuredComponent(StrictModel):
    """A component that ran on the HTP.

    Attributes:
        perf_mode: QNN's ``htp_performance_mode``.
        component: its name.
        refused: null.
        passes_per_call: guidance passes; of the UNet, a call is a sampling step.
        cold: fresh workers.
        warm: calls in one worker.
        peak_memory_bytes: of the warm worker; 0 where it can't be read.
        before: the phone before the first call.
        after: the phone after the last call.
    """

    perf_mode: str
    component: str
    refused: None = None
    passes_per_call: int
    cold: ColdStarts
    warm: WarmCalls
    peak_memory_bytes: int
    before: PhoneCondition
    after: PhoneCondition


class RefusedComponent(StrictModel):
    """A component that the phone's HTP can't load or run.

    Attributes:
        perf_mode: QNN's ``htp_performance_mode``.
        component: its name.
        refused: what the worker said.
    """

    perf_mode: str
    component: str
    refused: str


class ImageEstimate(StrictModel):
    """What an image would take.

    Attributes:
        perf_mode: QNN's ``htp_performance_mode``.
        what: how the estimate was added up, in words.
        steps: sampling steps.
        image_seconds: null where a component wasn't measured.
    """

    perf_mode: str
    what: str
    steps: int
    image_seconds: float | None


class BenchDocument(Document):
    """What components take on a phone, as ``qnn-sd bench`` measures it.

    Attributes:
        made_at: when, UTC, ISO 8601.
        versions: of qnn-sd and of the packages that compile, by name.
        virtual: whether it is a virtual phone, whose times say nothing about a phone.
        note: the same in words; null for a real one.
        phone: that was measured.
        soc: whose binaries ran.
        dl_mode: of the SoC's device profile; null where it has none.
        model: name of the model config.
        size: of the image.
        rounds: calls in a warm worker.
        cold_runs: fresh workers.
        staged_bytes: that were sent before.
        results: one for each perf mode and component.
        estimates: one for each perf mode.
        error: what the command ended with where nothing could be measured; else null.
    """

    schema_id: Literal["qnn-sd/bench/1"] = Field("qnn-sd/bench/1", alias="schema")
    made_at: str
    versions: dict[str, str]
    virtual: bool
    note: str | None
    phone: PhoneDescription
    soc: str
    dl_mode: int | None
    model: str
    size: ImageSize
    rounds: int
    cold_runs: int
    staged_bytes: int
    results: list[MeasuredComponent | RefusedComponent]
    estimates: list[ImageEstimate]
    error: ErrorDetail | None
