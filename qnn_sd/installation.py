"""How this package was installed: what its metadata asks for, and how to add an extra."""

from __future__ import annotations

from importlib import metadata

from packaging.requirements import Requirement

DISTRIBUTION = "qnn-sd"
_FOLDER = "in qnn-sd's folder (the checkout)"
# The package is on no index: these work from a checkout.
INSTALL = f"pip install . {_FOLDER} brings what it needs."


def install_extra(extra: str) -> str:
    """The command that adds an extra, such as ``phone``."""
    return f"pip install '.[{extra}]' {_FOLDER}"


def requirements() -> list[Requirement]:
    """What this package needs here, extras left out; nothing if it isn't installed."""
    try:
        asked = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    known = map(Requirement, asked)
    return [each for each in known if each.marker is None or each.marker.evaluate({"extra": ""})]


def out_of_bounds() -> dict[str, str]:
    """The packages that are missing or outside what this one's metadata allows, and what is there instead."""
    found = {}
    for each in requirements():
        try:
            installed = metadata.version(each.name)
        except metadata.PackageNotFoundError:
            found[each.name] = f"{each.name} is missing"
            continue
        if not each.specifier.contains(installed, prereleases=True):
            found[each.name] = f"{each.name} {installed} ({each.specifier} is asked for)"
    return found
