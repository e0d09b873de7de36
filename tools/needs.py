"""What pyproject.toml asks for, and what the locks in requirements/ hold."""

from __future__ import annotations

import platform
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
BASE_LOCK = ROOT / "requirements" / "base.txt"
DEV_LOCK = ROOT / "requirements" / "dev.txt"


def extras() -> list[str]:
    """The names of pyproject.toml's extras."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return list(told["project"]["optional-dependencies"])


def asked_for(*wanted: str) -> list[Requirement]:
    """What pyproject.toml asks for, with some extras, and with what builds the package."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = told["project"]
    texts = [*project["dependencies"], *told["build-system"]["requires"]]
    for extra in wanted:
        texts += project["optional-dependencies"][extra]
    found: dict[str, Requirement] = {}
    for each in map(Requirement, texts):
        found.setdefault(canonicalize_name(each.name), each)
    return list(found.values())


def lowest(asked: Requirement) -> str:
    """A requirement at its lower bound, such as ``numpy==2.1``.

    Raises:
        ValueError: it has none.
    """
    [bound] = [each.version for each in asked.specifier if each.operator == ">="]
    return f"{asked.name}=={bound}"


def locked(lock: Path, python: str = platform.python_version()) -> dict[str, str]:
    """The versions that a lock holds for a Python on Linux, x86-64.

    Args:
        lock: the file.
        python: such as ``3.12.1``.

    Raises:
        ValueError: a line that is no exact version, or a package that stands there twice.
    """
    here = {"python_version": ".".join(python.split(".")[:2]), "python_full_version": python}
    here |= {"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64"}
    here |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    found: dict[str, str] = {}
    for line in lock.read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pinned = Requirement(line)
        [pin] = pinned.specifier
        name = canonicalize_name(pinned.name)
        if pin.operator != "==":
            raise ValueError(f"{lock.name}: {line} is no exact version")
        if pinned.marker is not None and not pinned.marker.evaluate(here):
            continue
        if name in found:
            raise ValueError(f"{lock.name}: {name} stands twice for Python {python}")
        found[name] = pin.version
    return found


def interpreter() -> Path:
    """The Python that runs this."""
    return Path(sys.executable)
