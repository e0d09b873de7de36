"""Whose time estimate ``qnn-sd cost`` shows: the SoC's own, or another's, scaled by what was published of both."""

from __future__ import annotations

from dataclasses import dataclass

from qnn_sd.compile.cost import Chip
from qnn_sd.config import DeviceProfile, load_profile, socs
from qnn_sd.errors import SettingError

# The SoC whose estimate is scaled to those that the compiler has none for.
ESTIMATED_SOC = "qcs9075"
# Nobody published times of the VAE's encoder; it is built of the decoder's blocks.
_PUBLISHED_AS = {"vae_encoder": "vae_decoder"}


@dataclass(frozen=True)
class Scaling:
    """Which SoC is compiled for, and how its estimate becomes that of the SoC that was asked for.

    Attributes:
        soc: the profile that was asked for.
        compiled_for: the one that graphs are compiled for: the same, or the one to scale from.
    """

    soc: DeviceProfile
    compiled_for: DeviceProfile

    @property
    def chip(self) -> Chip:
        """What the compiler is told: of the SoC that was asked for, what isn't the chip's."""
        built = self.compiled_for
        return Chip(built.soc_model, built.htp_arch, built.vtcm_mb, self.soc.optimization_mode)

    @property
    def scales(self) -> bool:
        """Whether the estimate is another SoC's."""
        return self.soc != self.compiled_for

    @staticmethod
    def published(component: str) -> str:
        """The component whose published times a component is scaled by."""
        return _PUBLISHED_AS.get(component, component)

    def ratio(self, component: str) -> float:
        """What to multiply a component's estimate by."""
        ours, theirs = self._published_ms(component) if self.scales else (1.0, 1.0)
        return ours / theirs

    def label(self, component: str) -> str:
        """Whose estimate a component's is; "" where it is the SoC's own."""
        if not self.scales:
            return ""
        ours, theirs = self._published_ms(component)
        of = f"published ms of SD 1.5's {self.published(component)}"
        return f"scaled from {self.compiled_for.soc} by {ours:g}/{theirs:g} ({of})"

    def _published_ms(self, component: str) -> tuple[float, float]:
        """Of the SoC that was asked for, and of the one that was compiled for."""
        name = self.published(component)
        ours, theirs = (float(getattr(each.published_ms, name)) for each in (self.soc, self.compiled_for))
        return ours, theirs


def scaling_for(profile: DeviceProfile, scale: bool) -> Scaling:
    """How times of a SoC are estimated.

    Args:
        profile: of the SoC.
        scale: whether another SoC's estimate may be scaled where the compiler has none for this one.

    Raises:
        SettingError: the compiler has none and none is to be scaled, or a profile lacks published times.
    """
    if profile.estimates:
        return Scaling(profile, profile)
    if not scale:
        having = [soc for soc in socs() if load_profile(soc).estimates]
        raise SettingError(
            f"The QNN compiler has no time estimate for {profile.soc}",
            why=f"Of the SoCs that have a profile, it estimates times for {', '.join(having)} alone.",
            hint=f"Choose --soc {ESTIMATED_SOC}, or add --scale: its estimate, scaled by what was published of both.",
        )
    base = load_profile(ESTIMATED_SOC)
    for each in (profile, base):
        if each.published_ms is None:
            raise SettingError(
                f"An estimate can't be scaled from {base.soc} to {profile.soc}",
                why=f"The profile of {each.soc} has no published_ms: nothing measured to scale by.",
                hint=f"Add [published_ms] to device_profiles/{each.soc}.toml, or choose --soc {ESTIMATED_SOC}.",
            )
    return Scaling(profile, base)
