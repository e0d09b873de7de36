"""``device_profiles/<soc>.toml``: a SoC, as the compiler and the phone's staging know it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from qnn_sd.config.known_socs import known_soc
from qnn_sd.config.toml_file import StrictModel

_Milliseconds = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
# A number is one: true isn't 1, "57" isn't 57.
_Count = Annotated[int, Field(strict=True, ge=1, le=65535)]
# The default for a SoC that the compiler doesn't list; what most have.
_VTCM_MB = 8


class PublishedMs(StrictModel):
    """Measured milliseconds a call of SD 1.5 W8A16 at 512x512 on a chip, as somebody published them.

    Attributes:
        text_encoder: of the text encoder.
        unet: of the UNet.
        vae_decoder: of the VAE's decoder.
    """

    text_encoder: _Milliseconds
    unet: _Milliseconds
    vae_decoder: _Milliseconds


class Limits(StrictModel):
    """What is known to be limited on a SoC; None where nobody says.

    Attributes:
        fp16: whether its HTP computes float graphs. The SoC's, not the HTP version's.
        ai_hub_vae: whether AI Hub Models compiles Stable Diffusion's VAE for it.
        graph_mb: the largest allocation of one graph, MB.
        first_qairt: the first QAIRT release that knows it, such as ``2.46``; libraries on a phone may be older.
    """

    fp16: bool | None = None
    ai_hub_vae: bool | None = None
    graph_mb: _Count | None = None
    first_qairt: Annotated[str, Field(pattern=r"^\d+\.\d+$")] | None = None


class AiHubNames(StrictModel):
    """What AI Hub calls a SoC, and devices that have it: names as good as ``aliases``.

    Attributes:
        chipsets: of its attribute ``chipset:``.
        devices: names of devices.
    """

    chipsets: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()


class DeviceProfile(StrictModel):
    """One SoC: what the compiler is told, and which binary a phone gets.

    What a file leaves out of ``htp_arch``, ``vtcm_mb``, ``estimates`` and ``limits.fp16`` is as the compiler says.

    Attributes:
        soc: lower-case name, as ``--soc`` takes it.
        title: the name on the box.
        aliases: what else it is called, by people and by phones (``ro.soc.model``); case, spaces, dashes and
            underscores don't matter.
        dl_mode: the deployment's number for this generation of binaries; None for a SoC that has none.
        soc_model: QNN's number of the SoC (not Linux's ``soc_id``).
        htp_arch: the Hexagon architecture, such as 75 for v75; what neither file nor compiler says is refused.
        vtcm_mb: on-chip memory of the HTP.
        optimization_mode: ``htp_graph_finalization_optimization_mode``.
        estimates: whether the compiler estimates how long a graph takes on it.
        unlisted: whether ``soc_model`` is meant, though this compiler doesn't know it.
        ddr_gb_s: peak bandwidth of its memory, GB/s.
        limits: what it can't do.
        ai_hub: what AI Hub calls it.
        published_ms: what others measured on it, to scale another chip's estimate by.
        sources: who says so, by field.
    """

    soc: Annotated[str, Field(min_length=1, max_length=64)]
    title: Annotated[str, Field(min_length=1, max_length=100)]
    aliases: tuple[str, ...] = ()
    dl_mode: _Count | None = None
    soc_model: _Count
    htp_arch: Annotated[int, Field(strict=True, ge=0, le=65535)] = 0
    vtcm_mb: _Count = _VTCM_MB
    optimization_mode: Annotated[int, Field(strict=True, ge=1, le=3)] = 3
    estimates: Annotated[bool, Field(strict=True)] = False
    unlisted: Annotated[bool, Field(strict=True)] = False
    ddr_gb_s: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] | None = None
    limits: Limits = Limits()
    ai_hub: AiHubNames = AiHubNames()
    published_ms: PublishedMs | None = None
    sources: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _as_the_compiler_says(cls, content: Any) -> Any:
        """Fills in what is left out and the compiler knows."""
        number = content.get("soc_model") if isinstance(content, dict) else None
        known = known_soc(number) if isinstance(number, int) else None
        if known is None or known.htp_arch is None:
            return content
        filled = {"htp_arch": known.htp_arch, "vtcm_mb": known.vtcm_mb, "estimates": known.estimates, **content}
        limits = filled.get("limits", {})
        if isinstance(limits, dict):
            filled["limits"] = {"fp16": known.fp16, **limits}
        return filled

    @field_validator("title", "aliases")
    @classmethod
    def _readable(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        """A name that a terminal can't show can't be typed."""
        for name in (value,) if isinstance(value, str) else value:
            # A comma stands between two names of --soc.
            if not name.strip() or not name.isprintable() or "," in name:
                raise ValueError(f"{name!r} is no name")
        return value

    @model_validator(mode="after")
    def _sources_are_of_fields(self) -> Self:
        known = {*type(self).model_fields, *(f"limits.{name}" for name in Limits.model_fields)}
        if strange := sorted(set(self.sources) - known):
            raise ValueError(f"sources of what is no field: {', '.join(strange)}")
        return self

    @property
    def label(self) -> str:
        """For people, such as ``Snapdragon 8 Gen 3 (dl_mode 2)``."""
        return self.title if self.dl_mode is None else f"{self.title} (dl_mode {self.dl_mode})"

    @property
    def caution(self) -> str:
        """What to say whenever it is used, or nothing."""
        if not self.unlisted:
            return ""
        return f"The profile {self.soc} has a soc_model that the compiler isn't known to know: {self.soc_model}"

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is called."""
        return (self.soc, self.title, *self.aliases, *self.ai_hub.chipsets, *self.ai_hub.devices)


def joint_name(socs: Iterable[DeviceProfile]) -> str:
    """What a binary for these SoCs is called: ``sm8650``, ``sm8550+sm8650``."""
    return "+".join(each.soc for each in socs)
