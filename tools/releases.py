"""Which dependencies have newer releases than the lock, and which of those the bounds keep out: quick, only told."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from needs import DEV_LOCK, asked_for, extras, locked
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

# pip starts in half a second and mostly waits; all of them together stay below twenty seconds or are given up.
_AT_ONCE = 6
_SECONDS = 15


@dataclass(frozen=True)
class Newer:
    """A dependency with a newer release than what is locked.

    Attributes:
        name: of the package.
        locked: the lock's version; empty for what no lock holds.
        newest: the registry's.
        bounds: pyproject.toml's.
        outside: whether the bounds keep the newest out.
    """

    name: str
    locked: str
    newest: str
    bounds: str
    outside: bool

    @property
    def line(self) -> str:
        """It as it is printed."""
        verdict = f"outside {self.bounds}" if self.outside else "inside the bounds"
        return f"{self.name}: {self.locked or 'not locked'}, newest {self.newest}, {verdict}"


def newest_release(name: str, deadline: float, *options: str) -> str:
    """The newest release for this Python that pip finds, or an empty string if it can't be known in time.

    Args:
        name: of the package.
        deadline: on ``time.monotonic``'s clock.
        options: further ones of pip.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        return ""
    quick = ["--retries", "0", "--timeout", "5", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "index", "versions", name, *quick, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=left,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    match = re.match(rf"{re.escape(name)} \(([^)]+)\)", done.stdout, re.IGNORECASE)
    return match[1] if done.returncode == 0 and match else ""


def compared(asked: Iterable[Requirement], versions: dict[str, str], newest: dict[str, str]) -> list[Newer]:
    """The dependencies with a newer release, those outside the bounds first.

    Args:
        asked: pyproject.toml's requirements.
        versions: the lock's, by canonical name.
        newest: the registry's, by name; empty where it is unknown.
    """
    found = []
    for each in asked:
        release, pin = newest.get(each.name, ""), versions.get(canonicalize_name(each.name), "")
        outside = bool(release) and not each.specifier.contains(release)
        if release and (outside or (pin and Version(release) > Version(pin))):
            found.append(Newer(each.name, pin, release, str(each.specifier), outside))
    return sorted(found, key=lambda entry: not entry.outside)


def cheap(*options: str) -> str:
    """The comparison as text; empty if nothing is newer, or the registry can't be reached.

    Args:
        options: further ones of pip.
    """
    asked = asked_for(*extras())
    deadline = time.monotonic() + _SECONDS
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        releases = pool.map(lambda each: newest_release(each.name, deadline, *options), asked)
        newest = dict(zip((each.name for each in asked), releases, strict=True))
    lines = [f"  {each.line}" for each in compared(asked, locked(DEV_LOCK), newest)]
    unknown = sum(not release for release in newest.values())
    if not lines:
        return ""
    if unknown:
        lines.append(f"  ({unknown} of {len(asked)} didn't answer)")
    return "\n".join(["warning: there are newer releases than requirements/ holds (make drift tries them):", *lines])
