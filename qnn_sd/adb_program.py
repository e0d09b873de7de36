"""The adb program, and how a person types it here."""

from __future__ import annotations

import functools
import shlex
import shutil
from importlib import util
from pathlib import Path


def adb_path() -> Path | None:
    """The adb program of PATH, or the one that adbutils brings; None if there is neither."""
    on_path = shutil.which("adb")
    if on_path:
        return Path(on_path)
    package = util.find_spec("adbutils")
    if package is None or package.origin is None:
        return None
    bundled = Path(package.origin).parent / "binaries" / "adb"
    return bundled if bundled.is_file() else None


@functools.cache
def _program() -> str:
    path = adb_path()
    if path is None or shutil.which("adb"):
        return "adb"
    return shlex.quote(str(path))


def adb_command(*arguments: str) -> str:
    """A line of adb that can be typed as it is: adb's whole path where PATH has none.

    Args:
        arguments: as after ``adb``, quoted where they must be.
    """
    return " ".join((_program(), *arguments))
