"""How this package was installed: what its metadata asks for, and how to add an extra."""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement

from qnn_sd import resources

DISTRIBUTION = "qnn-sd"


def install() -> str:
    """The command that brings this package's own requirements."""
    source = _source()
    if source:
        return f"pip install {source}"
    return f"pip install {' '.join(shlex.quote(_text(each)) for each in requirements())}"


def install_extra(extra: str) -> str:
    """The command that adds an extra, such as ``phone``.

    The package is on no index: the command names the place that it was installed from, or else the extra's packages.
    """
    source = _source(extra)
    if source:
        return f"pip install {source}"
    asked = [each for each in _asked() if each.marker is not None and each.marker.evaluate({"extra": extra})]
    named = [_text(each) for each in asked if not each.marker.evaluate({"extra": ""})]  # type: ignore[union-attr]
    return f"pip install {' '.join(map(shlex.quote, named))}"


def _source(extra: str = "") -> str:
    """The place that this package was installed from, as pip takes it; empty if it isn't known or is gone."""
    suffix = f"[{extra}]" if extra else ""
    if (resources.PACKAGE.parent / "pyproject.toml").is_file():
        # In a checkout's folder as its pages have it, elsewhere with its path.
        here = resources.PACKAGE.parent
        return shlex.quote(f"{'.' if here == Path.cwd() else here}{suffix}")
    try:
        # PEP 610: written where something else than an index was named.
        origin = json.loads(metadata.distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:
        return ""
    path = Path(unquote(urlsplit(origin.get("url", "")).path))
    if origin.get("url", "").startswith("file:") and path.exists():
        return shlex.quote(f"{path}{suffix}")
    return ""


def _asked() -> list[Requirement]:
    """All that this package's metadata asks for, extras included; nothing if it isn't installed."""
    try:
        return list(map(Requirement, metadata.requires(DISTRIBUTION) or []))
    except metadata.PackageNotFoundError:
        return []


def _text(asked: Requirement) -> str:
    """A requirement without its marker."""
    return f"{asked.name}{asked.specifier}"


def requirements() -> list[Requirement]:
    """What this package needs here, extras left out; nothing if it isn't installed."""
    return [each for each in _asked() if each.marker is None or each.marker.evaluate({"extra": ""})]


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
