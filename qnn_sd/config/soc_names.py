"""Names of SoCs as people type them and phones report them: which mean the same, and which have no profile."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from qnn_sd.errors import UnknownSocError

# Qualcomm's others, by the name on the box: part numbers, as ro.soc.model has them, and other names.
# As public lists of Snapdragon SoCs have them; not checked against Qualcomm's documents. One that were wrong would
# change a message, no build.
_WITHOUT_PROFILE: Mapping[str, tuple[str, ...]] = {
    "Snapdragon 8 Elite Gen 5": ("SM8850",),
    "Snapdragon 8 Gen 5": ("SM8845",),
    "Snapdragon 8 Elite": ("SM8750", "8 Elite for Galaxy", "8 Gen 4"),
    "Snapdragon 8s Gen 4": ("SM8735",),
    "Snapdragon 8s Gen 3": ("SM8635",),
    "Snapdragon 8+ Gen 1": ("SM8475",),
    "Snapdragon 8 Gen 1": ("SM8450",),
    "Snapdragon 888": ("SM8350", "888+"),
    "Snapdragon 870": ("SM8250-AC",),
    "Snapdragon 865": ("SM8250", "865+"),
    "Snapdragon 855": ("SM8150", "855+"),
    "Snapdragon 845": ("SDM845",),
    "Snapdragon 7 Gen 4": ("SM7750",),
    "Snapdragon 7+ Gen 3": ("SM7675",),
    "Snapdragon 7s Gen 3": ("SM7635",),
    "Snapdragon 7 Gen 3": ("SM7550",),
    "Snapdragon 7+ Gen 2": ("SM7475",),
    "Snapdragon 7s Gen 2": ("SM7435",),
    "Snapdragon 7 Gen 1": ("SM7450",),
    "Snapdragon 778G": ("SM7325", "778G+"),
    "Snapdragon 6 Gen 3": ("SM6475",),
    "Snapdragon 6 Gen 1": ("SM6450",),
    "Snapdragon 695": ("SM6375",),
    "Snapdragon 4 Gen 2": ("SM4450",),
    "Snapdragon 4 Gen 1": ("SM4375",),
    "Snapdragon X Elite": ("X1E80100", "X1E"),
    "Dragonwing QCS8550": ("QCS8550", "QCM8550"),
    "Dragonwing QCS6490": ("QCS6490", "QCM6490"),
}
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
_SUFFIX = re.compile(r"(?<=\d)(a[a-z]|p)$")


def name_key(name: str) -> str:
    """What names of one SoC have in common: without case, spaces, dashes, underscores and the maker."""
    key = re.sub(r"[\s_\-®™]", "", name.lower()).replace("plus", "+")
    return key.removeprefix("qualcomm").removesuffix("5g")


def known_title(name: str) -> str | None:
    """Qualcomm's name of a SoC that has no profile, with its part number; None for one that isn't known here."""
    typed = name_key(name)
    # A whole name comes before one without its suffix: SM8250-AC isn't SM8250.
    for key in (typed, _SUFFIX.sub("", typed)):
        for title, names in _WITHOUT_PROFILE.items():
            if key in map(name_key, _spellings(title, names)):
                return title if names[0] in title else f"{title} ({names[0]})"
    return None


def _spellings(title: str, names: tuple[str, ...]) -> Iterator[str]:
    for name in (title.partition(" ")[2], *names):
        yield from (name, f"Snapdragon {name}", f"SD {name}")
    yield title


def unknown_soc(typed: str, titles: Mapping[str, str], names: Mapping[str, str]) -> UnknownSocError:
    """Why a name means no profile.

    Another SoC is never suggested in place of one that is meant: only words are taken for misspelt, never numbers.

    Args:
        typed: the name.
        titles: of those that have a profile, by what ``--soc`` takes.
        names: what else they are called, as ``name_key`` has it, with what ``--soc`` takes for each.
    """
    hint = f"Supported: {', '.join(f'{soc} ({title})' for soc, title in titles.items())}."
    key = name_key(typed)
    known = known_title(typed)
    if known is not None:
        return UnknownSocError(
            f"{known} is known, and has no profile",
            why="Context binaries are compiled for one SoC, and those of another one aren't for it.",
            hint=f"{hint} docs/contributing.md says how to add one.",
        )
    for maker, pattern in _OTHER_MAKERS.items():
        if re.match(pattern, key):
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


def _misspelt(key: str, names: Mapping[str, str]) -> str | None:
    """The SoC whose name has the same numbers, and nearly the same letters."""
    if "+" in key:
        return None
    same_numbers = [name for name in names if _digits(name) == _digits(key)]
    close = difflib.get_close_matches(key, same_numbers, n=1, cutoff=0.8)
    return names[close[0]] if close else None


def _digits(name: str) -> str:
    return re.sub(r"\D", "", name)
