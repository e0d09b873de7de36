"""Document of ``qnn-sd devices --known``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document, ImageSize


class MeasuredAtHub(StrictModel):
    """What a device of Qualcomm AI Hub has measured of a bundle.

    Attributes:
        name: of the device.
        os: version of its system.
        made_at: when, UTC, ISO 8601.
        image_seconds: of an image, computed from the components' times; null where one is missing.
    """

    name: str
    os: str
    made_at: str
    image_seconds: float | None


class CompiledBundle(StrictModel):
    """A bundle in the cache.

    Attributes:
        folder: where it is.
        model: name of the model config.
        size: of its images.
        socs: all that its binaries serve.
        binary_against_qdq_db: the worst SQNR of each component's context binary against its QDQ graph, dB; null where
            verifying was switched off, and of one file for several SoCs, which the emulator doesn't load.
        compiled_by: who compiled its binaries elsewhere, such as Qualcomm AI Hub; null where they were compiled here.
        measured: on devices of Qualcomm AI Hub.
    """

    folder: str
    model: str
    size: ImageSize
    socs: list[str]
    binary_against_qdq_db: dict[str, float] | None
    compiled_by: str | None
    measured: list[MeasuredAtHub]


class KnownSocEntry(StrictModel):
    """A SoC that has a device profile.

    Attributes:
        soc: name of the device profile.
        title: the name on the box.
        aliases: what else it is called.
        ai_hub_chipsets: what AI Hub calls it.
        ai_hub_devices: devices of AI Hub that have it.
        file: the profile's.
        own: whether that file is the user's own.
        unlisted: whether the compiler doesn't know its soc_model.
        soc_model: QNN's number of the SoC.
        htp_arch: the Hexagon architecture.
        vtcm_mb: on-chip memory of the HTP, MB.
        dl_mode: the deployment's number; null where it has none.
        fp16: whether its HTP computes float graphs; null where nobody says.
        ai_hub_vae: whether AI Hub Models compiles Stable Diffusion's VAE for it; null where nobody says.
        graph_mb: the largest allocation of one graph, MB; null where nobody says.
        first_qairt: the first QAIRT release that knows it; null where nobody says.
        ddr_gb_s: peak bandwidth of its memory, GB/s; null where nobody says.
        times: ``estimate`` where the compiler estimates times, ``scaled`` where another SoC's estimate can be scaled by
            published times, else ``none``.
        phone_libraries: the newest published QAIRT version with libraries for its HTP; null where there is none.
        compiled: the bundles for it in the cache.
        sources: who says so, by field.
    """

    soc: str
    title: str
    aliases: list[str]
    ai_hub_chipsets: list[str]
    ai_hub_devices: list[str]
    file: str
    own: bool
    unlisted: bool
    soc_model: int
    htp_arch: int
    vtcm_mb: int
    dl_mode: int | None
    fp16: bool | None
    ai_hub_vae: bool | None
    graph_mb: int | None
    first_qairt: str | None
    ddr_gb_s: float | None
    times: Literal["estimate", "scaled", "none"]
    phone_libraries: str | None
    compiled: list[CompiledBundle]
    sources: dict[str, str]


class OtherSoc(StrictModel):
    """A SoC that the compiler knows and that has no profile.

    Attributes:
        part: its part number.
        title: the name on the box; empty where it isn't known.
        soc_model: QNN's number of the SoC.
        htp_arch: the Hexagon architecture; null for a SoC without an HTP.
        vtcm_mb: on-chip memory of the HTP, MB; null likewise.
        fp16: whether its HTP computes float graphs.
        loads: the SoC whose binaries a phone with it gets; null where none load.
        note: what other sources say otherwise; or empty.
    """

    part: str
    title: str
    soc_model: int
    htp_arch: int | None
    vtcm_mb: int | None
    fp16: bool
    loads: str | None
    note: str


class KnownSocsDocument(Document):
    """The SoCs that qnn-sd knows, as ``qnn-sd devices --known`` shows them.

    Attributes:
        compiler: QAIRT version of the compiler that was asked for all SoCs.
        folder: for profiles of the user's own.
        socs: that have a profile.
        others: that the compiler knows, and that have none.
    """

    schema_id: Literal["qnn-sd/known-socs/1"] = Field("qnn-sd/known-socs/1", alias="schema")
    compiler: str
    folder: str
    socs: list[KnownSocEntry]
    others: list[OtherSoc]
