"""Document of ``qnn-sd run``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.cli.documents.phones import BatteryState
from qnn_sd.config import StrictModel
from qnn_sd.image_metadata import ImageDocument
from qnn_sd.schemas import Document, ImageSize


class SavedImage(StrictModel):
    """An image.

    Attributes:
        file: PNG.
        seed: of its noise.
        metadata: what made it, as the file says too.
    """

    file: str
    seed: int
    metadata: ImageDocument


class ComponentRun(StrictModel):
    """What the calls of a component took.

    Attributes:
        target: where it ran.
        unit: of the phone, ``HTP`` or ``CPU``; null on other targets.
        calls: how many.
        seconds: of all calls, as the host sees them.
    """

    target: str
    unit: str | None
    calls: int
    seconds: float


class ComponentFallback(StrictModel):
    """A component that the target can't load, and that ran elsewhere.

    Attributes:
        component: its name.
        target: where it ran.
        reason: why.
    """

    component: str
    target: str
    reason: str


class PhoneCompute(StrictModel):
    """What the worker measured of a component, on the phone's clock.

    Attributes:
        loads: how often it was loaded.
        load_seconds: of loading it, in all.
        run_seconds: of each pass, without the way to the host and back.
    """

    loads: int
    load_seconds: float
    run_seconds: list[float]


class PhoneRun(StrictModel):
    """What a run did on a phone.

    Attributes:
        device: its serial number, as adb names it.
        was_warm: whether an earlier run had left its worker warm.
        staged_bytes: that were sent.
        kept_bytes: that were there already.
        peak_memory_bytes: of the worker.
        thermal_zones: temperature by zone, in degrees Celsius.
        battery: null where it can't be read.
        compute: by component.
    """

    device: str
    was_warm: bool
    staged_bytes: int
    kept_bytes: int
    peak_memory_bytes: int
    thermal_zones: dict[str, float]
    battery: BatteryState | None
    compute: dict[str, PhoneCompute]


class RunDocument(Document):
    """Images that ``qnn-sd run`` generated.

    Attributes:
        model: name of the model config.
        size: of the images.
        images: in the order of their seeds.
        target: where components ran, if they could.
        soc: whose binaries ran; null for the CPU's graphs.
        components: their calls, by component.
        fallbacks: the components that ran elsewhere.
        phone: null on other targets.
    """

    schema_id: Literal["qnn-sd/run/1"] = Field("qnn-sd/run/1", alias="schema")
    model: str
    size: ImageSize
    images: list[SavedImage]
    target: str
    soc: str | None
    components: dict[str, ComponentRun]
    fallbacks: list[ComponentFallback]
    phone: PhoneRun | None
