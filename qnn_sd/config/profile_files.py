"""The device profiles that there are: the shipped ones, and those in the user's own folder."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qnn_sd import resources
from qnn_sd.config.compatibility import nearest, newest_that_loads, reason_for
from qnn_sd.config.device_profile import DeviceProfile
from qnn_sd.config.known_socs import known_qairt, soc_named
from qnn_sd.config.profile_checks import check_profile
from qnn_sd.config.soc_names import known_part, name_key, other_maker, soc_label, unknown_soc, without_variant
from qnn_sd.config.toml_file import read_toml, refuse_other_name, toml_names
from qnn_sd.errors import ConfigError, UnknownSocError


def profile_paths() -> dict[str, Path]:
    """The file of each SoC that has a profile: the shipped ones, then the user's; each in order of their names.

    Raises:
        ConfigError: a user's file has a shipped one's name, or the folder that the variable names isn't there.
    """
    found: dict[str, Path] = {}
    own = resources.user_device_profiles()
    if os.environ.get(resources.USER_PROFILES) and not own.is_dir():
        raise ConfigError(
            f"{resources.USER_PROFILES} names {own}, which is no folder",
            hint=f"Correct {resources.USER_PROFILES}, or unset it.",
        )
    for folder in (resources.device_profiles(), own):
        for soc in toml_names(folder):
            if soc in found:
                raise ConfigError(
                    f"{folder / soc}.toml has the name of a shipped profile",
                    why="Its binaries couldn't be told from those of the shipped one.",
                    hint=f"Give file and soc another name, such as my-{soc}, or remove the file.",
                )
            found[soc] = folder / f"{soc}.toml"
    return found


def socs() -> list[str]:
    """Names of the SoCs that have a profile.

    Raises:
        ConfigError: a user's file has a shipped one's name.
    """
    return list(profile_paths())


def profiles() -> dict[str, DeviceProfile]:
    """All profiles, by SoC.

    Raises:
        ConfigError: a file doesn't follow the schema, or says what isn't so.
    """
    return _profiles_and_names()[0]


def _profiles_and_names() -> tuple[dict[str, DeviceProfile], dict[str, str]]:
    """All profiles by SoC, and the SoC of every name."""
    found = {soc: _read(path, _stamp(path)) for soc, path in profile_paths().items()}
    return found, _names(found)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=256)
def _read(path: Path, _unchanged: tuple[int, int]) -> DeviceProfile:
    profile = read_toml(path, DeviceProfile)
    refuse_other_name(path, profile.soc)
    check_profile(path, profile)
    return profile


def find_profile(name: str) -> DeviceProfile | None:
    """The profile of a SoC by any of its names, such as ``sm8650``, ``8gen3`` or ``SM8650-AC``; None if there is none.

    Raises:
        ConfigError: a file doesn't follow the schema, or two profiles claim one name.
    """
    known, names = _profiles_and_names()
    soc = _meant(name, names)
    return None if soc is None else known[soc]


def load_profile(name: str) -> DeviceProfile:
    """The same for a name that must be one's.

    Raises:
        UnknownSocError: no profile has that name; those that there are are listed.
        ConfigError: a file doesn't follow the schema, or two profiles claim one name.
    """
    known, names = _profiles_and_names()
    soc = _meant(name, names)
    if soc is None:
        chip = soc_named(known_part(name) or name)
        other = None if chip is None else newest_that_loads(known.values(), chip)
        loading = None if other is None else other.soc
        raise unknown_soc(name, {soc: each.title for soc, each in known.items()}, names, loading)
    return known[soc]


@dataclass(frozen=True)
class StandIn:
    """Another SoC's binaries for a SoC that has none of its own.

    Attributes:
        profile: whose binaries.
        reason: why these, a sentence or two for people.
    """

    profile: DeviceProfile
    reason: str


def stand_in(model: str) -> StandIn | None:
    """The newest binaries that a SoC's HTP loads; None where none do, or where the SoC isn't known.

    Args:
        model: its part number, as a phone reports it.

    Raises:
        ConfigError: a profile's file is wrong.
    """
    chip = soc_named(model)
    chosen = None if chip is None else newest_that_loads(profiles().values(), chip)
    return None if chip is None or chosen is None else StandIn(chosen, reason_for(model, chip, chosen))


def no_binaries(phone: str, model: str, platform: str) -> UnknownSocError:
    """Why a phone gets no binaries.

    Args:
        phone: its serial number.
        model: its SoC as it reports it; empty if it doesn't.
        platform: its ``ro.board.platform``, or empty.
    """
    reported = soc_label(model) or "not reported (ro.soc.model is empty)"
    what = f"There is no profile for {phone}"
    why = f"Its SoC is {reported}, its platform {platform or 'unknown'}."
    chip = soc_named(model)
    if chip is not None:
        return UnknownSocError(
            what,
            why=f"{why} No profile's binaries load there: it is {chip.described}.",
            hint="qnn-sd devices --known lists what there is; docs/socs.md says how to add a profile for an HTP.",
        )
    if maker := other_maker(model) or other_maker(platform):
        return UnknownSocError(
            what,
            why=f"{why} That is {maker}'s, and context binaries run on Qualcomm's Hexagon NPUs.",
            hint="Take a phone with a Snapdragon, or --target cpu or emulator, which need none.",
        )
    hint = f"If it has the Hexagon of one of {', '.join(socs())}, add --soc with its name."
    if model:
        near = nearest(model)
        known = f"; the nearest number that it knows is {near}" if near else ""
        why = f"{why} The compiler of QAIRT {known_qairt()} doesn't know {model}{known}."
        hint = f"A newer compiler with newer phone libraries may know it: docs/toolchains.md. {hint}"
    return UnknownSocError(what, why=why, hint=hint)


def _meant(name: str, names: Mapping[str, str]) -> str | None:
    """The SoC of a name; a variant of a part number that isn't listed is the SoC's own."""
    key = name_key(name)
    return names.get(key) or names.get(without_variant(key))


def _names(known: Mapping[str, DeviceProfile]) -> dict[str, str]:
    """The SoC of every name, as ``name_key`` has it."""
    owners: dict[str, str] = {}
    for soc, profile in known.items():
        for name in profile.names:
            for key in _keys(name):
                owner = owners.setdefault(key, soc)
                if owner != soc:
                    raise ConfigError(
                        f"The device profiles {owner} and {soc} both claim the name {name!r}",
                        why="--soc must mean one of them.",
                        hint=f"Remove it from {profile_paths()[soc]}.",
                    )
    return owners


def _keys(name: str) -> tuple[str, ...]:
    """A name with and without what people put before it: ``8 Gen 3``, ``SD 8 Gen 3``, ``Snapdragon 8 Gen 3``."""
    key = name_key(name)
    short = key.removeprefix("snapdragon")
    return (key, short, f"sd{short}", f"snapdragon{short}") if short[:1].isdigit() else (key,)
