"""What a device profile claims, held against what the compiler says: a wrong number would compile, for another chip."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from qnn_sd.config.device_profile import DeviceProfile
from qnn_sd.config.known_socs import HtpArch, KnownSoc, known_qairt, known_soc, soc_named
from qnn_sd.config.soc_names import ALL_SOCS
from qnn_sd.errors import ConfigError

HTP_ARCHS: tuple[int, ...] = get_args(HtpArch)
_AI_HUB_VAE_FROM = 73
# By soc_model: the deployments of sm8550 and sm8650.
_DL_MODES = {43: 1, 57: 2}
_SOC = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def check_profile(path: Path, profile: DeviceProfile) -> None:
    """Holds a profile against the compiler's table.

    Args:
        path: of its file, for messages.
        profile: what the file says.

    Raises:
        ConfigError: it claims what isn't so.
    """
    if not _SOC.fullmatch(profile.soc) or profile.soc == ALL_SOCS:
        raise ConfigError(
            f"{path} describes {profile.soc!r}",
            why="Names have small letters, digits, dashes, dots and underscores; 'all' means every SoC.",
            hint="Give file and soc another name, such as my-sm8845.",
        )
    known = known_soc(profile.soc_model)
    if known is None:
        _check_unlisted(path, profile)
    else:
        _check_numbers(path, profile, known)
        _check_claims(path, profile, known)
    _check_names(path, profile)
    if profile.dl_mode not in (None, _DL_MODES.get(profile.soc_model)):
        raise ConfigError(
            f"{path} says dl_mode = {profile.dl_mode}",
            why="Only the Snapdragon 8 Gen 2 has one (1), and the 8 Gen 3 (2).",
            hint=f"Leave it out of {path}.",
        )


def _check_unlisted(path: Path, profile: DeviceProfile) -> None:
    number, htp = profile.soc_model, profile.htp_arch
    if profile.unlisted and htp in HTP_ARCHS:
        return
    if profile.unlisted:
        raise ConfigError(
            f"{path} says htp_arch = {htp}" if htp else f"{path} says no htp_arch",
            why=f"The HTP versions are {', '.join(map(str, HTP_ARCHS))}.",
            hint=f"Correct htp_arch in {path}.",
        )
    raise ConfigError(
        f"{path} says soc_model = {number}, which is no SoC that the compiler knows",
        why=f"The compiler of QAIRT {known_qairt()} was asked for all numbers. {_swapped(number, htp)}".rstrip(),
        hint=f"{_own_numbers(profile)}With a number that Qualcomm's documents give, write unlisted = true in {path}.",
    )


def _check_numbers(path: Path, profile: DeviceProfile, known: KnownSoc) -> None:
    number, htp = profile.soc_model, profile.htp_arch
    if profile.unlisted:
        raise ConfigError(
            f"{path} says unlisted = true",
            why=f"The compiler knows soc_model {number}: it is {known.described}.",
            hint=f"Remove unlisted from {path}.",
        )
    if known.htp_arch is None:
        raise ConfigError(
            f"{path} says soc_model = {number}, which has no HTP",
            why=f"{number} is {known.described}.",
            hint=f"{_own_numbers(profile)}Context binaries run on an HTP, v68 or later.",
        )
    if htp != known.htp_arch:
        raise ConfigError(
            f"{path} says soc_model = {number} and htp_arch = {htp}: no SoC has both",
            why=f"{number} is {known.described}. {_swapped(number, htp)}{known.note}".rstrip(),
            hint=f"{_own_numbers(profile)}qnn-sd devices --known lists the pairs; correct {path}.",
        )
    own = soc_named(profile.soc)
    if own is not None and own.soc_model != number:
        raise ConfigError(
            f"{path} says soc_model = {number}, which is another SoC's",
            why=f"{number} is {known.described}.",
            hint=f"{own.name} is soc_model {own.soc_model}{_htp(own)}. Correct {path}.",
        )


def _check_claims(path: Path, profile: DeviceProfile, known: KnownSoc) -> None:
    said = None
    if known.vtcm_mb is not None and profile.vtcm_mb > known.vtcm_mb:
        said = f"vtcm_mb = {profile.vtcm_mb}", f"{known.name} has {known.vtcm_mb} MB: a binary for more is refused"
    elif profile.limits.fp16 and not known.fp16:
        said = "limits.fp16 = true", f"The compiler says of {known.name} that it doesn't support FP16"
    elif profile.estimates and not known.estimates:
        said = "estimates = true", f"The compiler has no time estimates for {known.name}"
    elif profile.limits.ai_hub_vae and profile.htp_arch < _AI_HUB_VAE_FROM:
        said = "limits.ai_hub_vae = true", f"AI Hub Models refuses a VAE below HTP v{_AI_HUB_VAE_FROM}"
    if said is not None:
        raise ConfigError(f"{path} says {said[0]}", why=f"{said[1]}.", hint=f"Correct it in {path}, or leave it out.")


def _check_names(path: Path, profile: DeviceProfile) -> None:
    for name in profile.names:
        if name.strip().lower() == ALL_SOCS:
            raise ConfigError(
                f"{path} claims the name {name!r}", why="It means every SoC.", hint=f"Remove it from {path}."
            )
        other = soc_named(name)
        if other is not None and other.soc_model != profile.soc_model:
            raise ConfigError(
                f"{path} claims the name {name!r}",
                why=f"It is another SoC's part number: {other.described}, soc_model {other.soc_model}.",
                hint=f"Remove it from {path}.",
            )


def _swapped(number: int, htp: int) -> str:
    """Whose numbers two that don't go together are: HTP versions are other SoCs' numbers."""
    other = known_soc(htp)
    if number in HTP_ARCHS and other is not None and other.htp_arch == number:
        return f"{htp} is {other.described}: are the two swapped? "
    if number in HTP_ARCHS:
        return f"{number} is an HTP version, too: was it written in the place of the SoC's own number? "
    if htp and htp not in HTP_ARCHS:
        return f"{htp} is no HTP version. "
    return ""


def _own_numbers(profile: DeviceProfile) -> str:
    own = soc_named(profile.soc)
    return "" if own is None else f"{own.name} is soc_model {own.soc_model}{_htp(own)}. "


def _htp(soc: KnownSoc) -> str:
    return " without an HTP" if soc.htp_arch is None else f", htp_arch {soc.htp_arch}"
