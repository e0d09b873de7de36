"""``device_profiles/<soc>.toml``: a SoC, as the compiler and the phone's staging know it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from qnn_sd import resources
from qnn_sd.config.toml_file import StrictModel, read_toml, refuse_other_name, toml_names
from qnn_sd.errors import UnknownSocError, did_you_mean


class PublishedMs(StrictModel):
    """Measured milliseconds a call of SD 1.5 W8A16 at 512x512 on a chip, as somebody published them.

    Attributes:
        text_encoder: of the text encoder.
        unet: of the UNet.
        vae_decoder: of the VAE's decoder.
    """

    text_encoder: Annotated[float, Field(gt=0)]
    unet: Annotated[float, Field(gt=0)]
    vae_decoder: Annotated[float, Field(gt=0)]


class DeviceProfile(StrictModel):
    """One SoC: what the compiler is told, and which binary a phone gets.

    Attributes:
        soc: lower-case name, as ``--soc`` takes it.
        title: the name on the box.
        dl_mode: the deployment's number for this generation of binaries; None for a SoC that has none.
        soc_model: QNN's number of the SoC (not Linux's ``soc_id``).
        htp_arch: the Hexagon architecture, such as 75 for v75.
        vtcm_mb: on-chip memory of the HTP.
        optimization_mode: ``htp_graph_finalization_optimization_mode``.
        estimates: whether the compiler estimates how long a graph takes on it.
        published_ms: what others measured on it, to scale another chip's estimate by.
    """

    soc: str
    title: str
    dl_mode: Annotated[int, Field(ge=1)] | None = None
    soc_model: Annotated[int, Field(ge=1)]
    htp_arch: Literal[68, 69, 73, 75, 79, 81]
    vtcm_mb: Annotated[int, Field(ge=1)] = 8
    optimization_mode: Literal[1, 2, 3] = 3
    estimates: bool = False
    published_ms: PublishedMs | None = None

    @property
    def label(self) -> str:
        """For people, such as ``Snapdragon 8 Gen 3 (dl_mode 2)``."""
        return self.title if self.dl_mode is None else f"{self.title} (dl_mode {self.dl_mode})"


def socs() -> list[str]:
    """Names of the SoCs that have a profile."""
    return toml_names(resources.device_profiles())


def load_profile(soc: str) -> DeviceProfile:
    """The profile of a SoC, such as ``sm8650`` (any case).

    Raises:
        UnknownSocError: there is none; the nearest name is suggested.
        ConfigError: its file doesn't follow the schema.
    """
    if soc.lower() not in socs():
        raise UnknownSocError(f"Unknown SoC {soc!r}", hint=did_you_mean(soc, socs()))
    path = resources.device_profiles() / f"{soc.lower()}.toml"
    profile = read_toml(path, DeviceProfile)
    refuse_other_name(path, profile.soc)
    return profile
