"""Names of SoCs as people type them and phones report them: which mean the same, and which have no profile."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from qnn_sd.config.known_socs import soc_named, titles
from qnn_sd.errors import UnknownSocError

# What other makers' SoCs are called, of a name without spaces.
_OTHER_MAKERS: Mapping[str, str] = {
    "MediaTek": r"mediatek|dimensity|helio|mt\d{4}",
    "Google": r"google|tensor|gs[12]01|zuma",
    "Samsung": r"exynos|s5e\d{4}",
    "Huawei": r"kirin|hisilicon",
    "Apple": r"apple|iphone|ipad|bionic|a1\d(pro|x)?$|m[1-9](pro|max|ultra)?$",
    "Unisoc": r"unisoc|spreadtrum|ums\d{3}",
    "NVIDIA": r"nvidia|tegra|rtx|cuda",
}
_PHONES = r"galaxy|pixel|oneplus|xiaomi|redmi|poco|honor|oppo|vivo|iqoo|realme|xperia|motorola|nothing|rog"
_PART_NUMBER = re.compile(r"[a-z]{2,3}\d+\w*")
# The letters after a part number name a speed, a modem that is left out, or whom it is made for.
_VARIANT = re.compile(r"([a-z]{2,3}\d{4,5})(a[a-z]|p)")


# What --soc takes for every profile.
ALL_SOCS = "all"


def name_key(name: str) -> str:
    """What names of one SoC have in common: without case, spaces, dashes, underscores and the maker, of a phone too."""
    key = re.sub(r"[\s_\-®™]", "", name.lower()).replace("plus", "+")
    return key.removeprefix("qualcomm").removeprefix("samsung").removesuffix("5g")


def without_variant(key: str) -> str:
    """A part number without the letters of a variant, such as ``sm8650`` of ``sm8650ac``; another name as it is.

    Args:
        key: as ``name_key`` has it.
    """
    return match[1] if (match := _VARIANT.fullmatch(key)) else key


def known_part(name: str) -> str | None:
    """Part number of a SoC that has no shipped profile, by any of its names; None for one that isn't known here."""
    typed = name_key(name)
    # A whole name comes before one without its suffix: SM8250-AC isn't SM8250.
    for key in (typed, without_variant(typed)):
        for part, names in titles().items():
            if key in map(name_key, _spellings(part, names)):
                return part
    chip = soc_named(name)
    return None if chip is None else chip.name


def known_title(name: str) -> str | None:
    """The name on the box of a SoC that has no shipped profile, with its part number; None where either isn't known."""
    part = known_part(name)
    return f"{titles()[part][0]} ({part})" if part in titles() else None


def other_maker(name: str) -> str | None:
    """Who makes a SoC or platform of that name, if that is known not to be Qualcomm."""
    key = name_key(name)
    return next((maker for maker, pattern in _OTHER_MAKERS.items() if re.match(pattern, key)), None)


def soc_label(model: str) -> str:
    """A SoC that a phone reports, with the name on the box where it is known: ``SM8845, Snapdragon 8 Gen 5``."""
    title = known_title(model)
    return model if title is None else f"{model}, {title.partition(' (')[0]}"


def _spellings(part: str, names: tuple[str, ...]) -> Iterator[str]:
    yield part
    for name in names:
        short = name.removeprefix("Snapdragon ")
        yield from (name, short, f"SD {short}")


def unknown_soc(
    typed: str, titles: Mapping[str, str], names: Mapping[str, str], loading: str | None
) -> UnknownSocError:
    """Why a name means no profile.

    Another SoC is never suggested in place of one that is meant: only words are taken for misspelt, never numbers.

    Args:
        typed: the name.
        titles: of those that have a profile, by what ``--soc`` takes.
        names: what else they are called, as ``name_key`` has it, with what ``--soc`` takes for each.
        loading: the one of them whose binaries the SoC of that name loads; None where it isn't known, or none do.
    """
    hint = f"Supported: {', '.join(titles)}; qnn-sd devices --known tells more of each."
    key = name_key(typed)
    part = known_part(typed)
    if part is not None:
        return _without_profile(part, loading, hint)
    if maker := other_maker(typed):
        return UnknownSocError(
            f"{typed!r} is {maker}'s, not Qualcomm's", why="qnn-sd builds for Qualcomm's Hexagon NPUs.", hint=hint
        )
    if re.search(_PHONES, key):
        return UnknownSocError(
            f"{typed!r} reads like a phone, not like a SoC",
            why="qnn-sd devices shows the SoC of a phone that is connected.",
            hint=hint,
        )
    if _PART_NUMBER.fullmatch(key):
        return UnknownSocError(f"Unknown SoC {typed!r}", why="No SoC of that number has a profile.", hint=hint)
    meant = _misspelt(key, names)
    why = f"Did you mean {meant} ({titles[meant]})?" if meant else ""
    return UnknownSocError(f"Unknown SoC {typed!r}", why=why, hint=hint)


def _without_profile(part: str, loading: str | None, hint: str) -> UnknownSocError:
    known = f"{known_title(part) or part} is known, and has no profile"
    chip = soc_named(part)
    if chip is not None and chip.htp_arch is None:
        return UnknownSocError(known, why="It has no HTP, which is what context binaries run on.", hint=hint)
    instead = f"It loads the binaries for {loading}: --soc {loading}. " if loading else ""
    return UnknownSocError(
        known,
        why="Context binaries are compiled for one SoC, and those of another one aren't for it.",
        hint=f"{instead}docs/socs.md says how to add one. {hint}",
    )


def _misspelt(key: str, names: Mapping[str, str]) -> str | None:
    """The SoC whose name has the same numbers, and nearly the same letters."""
    if "+" in key:
        return None
    same_numbers = [name for name in names if _digits(name) == _digits(key)]
    close = difflib.get_close_matches(key, same_numbers, n=1, cutoff=0.8)
    return names[close[0]] if close else None


def _digits(name: str) -> str:
    return re.sub(r"\D", "", name)
