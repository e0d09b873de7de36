"""``device_profiles/<soc>.toml``: a SoC, as the compiler and the phone's staging know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from qnn_sd import resources
from qnn_sd.config.known_socs import HtpArch
from qnn_sd.config.soc_names import known_title, name_key, unknown_soc
from qnn_sd.config.toml_file import StrictModel, read_toml, refuse_other_name, toml_names
from qnn_sd.errors import ConfigError


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
        aliases: what else it is called, by people and by phones (``ro.soc.model``); case, spaces, dashes and
            underscores don't matter.
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
    aliases: tuple[str, ...] = ()
    dl_mode: Annotated[int, Field(ge=1)] | None = None
    soc_model: Annotated[int, Field(ge=1)]
    htp_arch: HtpArch
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


def profiles() -> dict[str, DeviceProfile]:
    """All profiles, by SoC.

    Raises:
        ConfigError: a file doesn't follow the schema.
    """
    found = {}
    for soc in socs():
        path = resources.device_profiles() / f"{soc}.toml"
        found[soc] = read_toml(path, DeviceProfile)
        refuse_other_name(path, found[soc].soc)
    return found


def find_profile(name: str) -> DeviceProfile | None:
    """The profile of a SoC by any of its names, such as ``sm8650``, ``8gen3`` or ``SM8650-AC``; None if there is none.

    Raises:
        ConfigError: a file doesn't follow the schema, or two profiles claim one name.
    """
    known = profiles()
    soc = _names(known).get(name_key(name))
    return None if soc is None else known[soc]


def load_profile(name: str) -> DeviceProfile:
    """The same for a name that must be one's.

    Raises:
        UnknownSocError: no profile has that name; those that there are are listed.
        ConfigError: a file doesn't follow the schema, or two profiles claim one name.
    """
    known = profiles()
    names = _names(known)
    soc = names.get(name_key(name))
    if soc is None:
        raise unknown_soc(name, {soc: each.title for soc, each in known.items()}, names)
    return known[soc]


def soc_label(model: str) -> str:
    """A SoC that a phone reports, with the name on the box where it is known: ``SM8750, Snapdragon 8 Elite``."""
    title = known_title(model)
    return model if title is None else f"{model}, {title.partition(' (')[0]}"


def _names(known: Mapping[str, DeviceProfile]) -> dict[str, str]:
    """The SoC of every name, as ``name_key`` has it."""
    owners: dict[str, str] = {}
    for soc, profile in known.items():
        for name in (soc, profile.title, *profile.aliases):
            owner = owners.setdefault(name_key(name), soc)
            if owner != soc:
                raise ConfigError(
                    f"The device profiles {owner} and {soc} both claim the name {name!r}",
                    why="--soc must mean one of them.",
                    hint=f"Remove it from the aliases in {resources.device_profiles() / soc}.toml.",
                )
    return owners
