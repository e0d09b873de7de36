"""Which versions of the artifacts work together, and the hash of each: ``pins.toml``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from qnn_sd.config import StrictModel, read_toml
from qnn_sd.errors import SettingError, did_you_mean
from qnn_sd.toolchain import version

PINS_FILE = Path(__file__).with_name("pins.toml")
_VERSION = r"^\d+\.\d+\.\d+$"


class Pin(StrictModel):
    """One artifact of a Maven repository.

    Attributes:
        coordinate: ``group:artifact:version``.
        packaging: the suffix of its file.
        sha256: of the file, in hex; ``not yet pinned`` if it isn't known.
    """

    coordinate: Annotated[str, Field(pattern=r"^[\w.-]+:[\w.-]+:\d[\w.-]*$")]
    packaging: Literal["aar", "jar"] = "aar"
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64}|not yet pinned)$")]

    @field_validator("coordinate")
    @classmethod
    def _no_path(cls, coordinate: str) -> str:
        """It becomes a path in the repository and in the cache."""
        if ".." in coordinate:
            raise ValueError(f"{coordinate} is no coordinate")
        return coordinate

    @property
    def pinned_hash(self) -> str | None:
        """Its SHA-256 in hex, or None if it isn't pinned."""
        return self.sha256 if re.fullmatch(r"[0-9a-f]{64}", self.sha256) else None


class PublishedSet(StrictModel):
    """Artifacts that work together.

    Attributes:
        qairt: version of QNN's libraries.
        compiler: the version of ``onnxruntime-qnn`` that compiles for it.
        htp_archs: the HTPs that its libraries are for.
        plugin: the QNN execution provider.
        onnxruntime: ONNX Runtime's core and its Java binding.
        qnn_runtime: QNN's libraries, with stub and skel for each HTP.
    """

    qairt: Annotated[str, Field(pattern=_VERSION)]
    compiler: Annotated[str, Field(pattern=_VERSION)]
    htp_archs: tuple[int, ...] = ()
    plugin: Pin
    onnxruntime: Pin
    qnn_runtime: Pin

    @property
    def pins(self) -> tuple[Pin, ...]:
        """Its artifacts."""
        return self.plugin, self.onnxruntime, self.qnn_runtime


class Pins(StrictModel):
    """The content of ``pins.toml``.

    Attributes:
        repository: name of the repository, as jgo knows it.
        desktop: ONNX Runtime for a desktop's JVM.
        published: the sets, oldest first.
    """

    repository: str
    desktop: Pin
    published: Annotated[tuple[PublishedSet, ...], Field(min_length=1)]

    @field_validator("published")
    @classmethod
    def _in_order(cls, published: tuple[PublishedSet, ...]) -> tuple[PublishedSet, ...]:
        order = [version(entry.qairt) for entry in published]
        if order != sorted(set(order)):
            raise ValueError("the sets are not in order of their QAIRT version")
        return published

    @property
    def newest(self) -> PublishedSet:
        """The set of the newest QAIRT version."""
        return self.published[-1]

    def for_qairt(self, qairt: str) -> PublishedSet:
        """The set of a QAIRT version, such as ``2.50`` or ``2.50.0``.

        Raises:
            SettingError: there is none.
        """
        for entry in reversed(self.published):
            if entry.qairt == qairt or entry.qairt.rpartition(".")[0] == qairt:
                return entry
        raise SettingError(
            f"No runtime libraries of QAIRT {qairt} are known",
            hint=did_you_mean(qairt, (entry.qairt for entry in self.published)),
        )


def load_pins(path: Path = PINS_FILE) -> Pins:
    """Reads the pins.

    Raises:
        ConfigError: the file doesn't follow its schema.
    """
    return read_toml(path, Pins)
