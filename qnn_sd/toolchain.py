"""The versions that were tried together: ``toolchains.toml``.

A context binary is tied to the QAIRT that compiled it, a phone's libraries to theirs, and ONNX Runtime to both:
what goes with what is said there, once.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from qnn_sd.config import StrictModel, read_toml

TOOLCHAINS_FILE = Path(__file__).with_name("toolchains.toml")
# What a set is made of, beside Python.
TOOLCHAIN_PACKAGES = ("onnxruntime", "onnxruntime-qnn")
_VERSION = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
_SERIES = Annotated[str, Field(pattern=r"^\d+\.\d+$")]


def version(text: str) -> tuple[int, int, int]:
    """The three numbers that order QAIRT versions; what follows is a build's number.

    Args:
        text: such as ``2.50.0`` or ``2.50.0.260515``.

    Raises:
        ValueError: it doesn't begin so.
    """
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        raise ValueError(f"{text!r} is no version")
    return int(match[1]), int(match[2]), int(match[3])


def release(text: str) -> tuple[int, int]:
    """The two numbers that decide whether a runtime loads a binary.

    The third names a branch of builds, not a later version: the compiler in onnxruntime-qnn 2.6.0 writes 2.50.40, and
    Qualcomm pairs the phone's plugin of the same version with libraries 2.50.0.

    Raises:
        ValueError: the text doesn't begin with a version.
    """
    return version(text)[:2]


def loads(runtime: str, binary: str) -> bool:
    """Whether a QAIRT version's libraries load what another one compiled: a newer release's they refuse.

    Args:
        runtime: version of the libraries.
        binary: version that compiled the binary.
    """
    return release(runtime) >= release(binary)


class PhoneVersions(StrictModel):
    """What a phone needs for a set's binaries, by version.

    Attributes:
        plugin: of ``onnxruntime-android-qnn``, the QNN execution provider.
        onnxruntime: of ``onnxruntime-android``.
        qnn_runtime: of ``qnn-runtime``, QNN's libraries: the QAIRT version on the phone.
        said_by: who says that they go together.
    """

    plugin: _VERSION
    onnxruntime: _VERSION
    qnn_runtime: _VERSION
    said_by: str


class Toolchain(StrictModel):
    """Versions that were tried together.

    Attributes:
        name: QAIRT's release, such as ``2.50``.
        qairt: the version that the compiler writes into its binaries.
        onnxruntime: of the package.
        onnxruntime_qnn: of the package, which holds compiler and emulator.
        python: the versions of Python that it was tried on.
        phone: what a phone needs; None where nothing is published, or nobody says what goes together.
        costs: what choosing it costs, in words.
    """

    name: _SERIES
    qairt: _VERSION
    onnxruntime: _VERSION
    onnxruntime_qnn: _VERSION
    python: Annotated[tuple[_SERIES, ...], Field(min_length=1)]
    phone: PhoneVersions | None = None
    costs: str

    @model_validator(mode="after")
    def _is_of_one_release(self) -> Self:
        for qairt in [self.qairt, *([self.phone.qnn_runtime] if self.phone else [])]:
            if ".".join(map(str, release(qairt))) != self.name:
                raise ValueError(f"QAIRT {qairt} is not of release {self.name}")
        return self

    @property
    def packages(self) -> dict[str, str]:
        """The versions of its Python packages."""
        return dict(zip(TOOLCHAIN_PACKAGES, (self.onnxruntime, self.onnxruntime_qnn), strict=True))

    @property
    def install(self) -> str:
        """The command that puts it in the place of the set that is installed."""
        return f"pip install --no-deps {' '.join(f'{name}=={number}' for name, number in self.packages.items())}"

    @property
    def reinstall(self) -> str:
        """The command that installs it again over what is there."""
        return self.install.replace("pip install", "pip install --force-reinstall")

    @property
    def title(self) -> str:
        """It in one line."""
        return (
            f"{self.name} (onnxruntime-qnn {self.onnxruntime_qnn}, onnxruntime {self.onnxruntime}, QAIRT {self.qairt})"
        )


class Toolchains(StrictModel):
    """All that ``toolchains.toml`` says.

    Attributes:
        default: name of the set that is installed if nobody chooses.
        desktop_jvm: ONNX Runtime for the virtual phone's JVM.
        sets: oldest first.
    """

    default: str
    desktop_jvm: _VERSION
    sets: Annotated[tuple[Toolchain, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_in_order_and_has_its_default(self) -> Self:
        order = [release(each.qairt) for each in self.sets]
        if order != sorted(set(order)):
            raise ValueError("the sets are not in order of their QAIRT release")
        if self.default not in [each.name for each in self.sets if each.phone]:
            raise ValueError(f"the default, {self.default}, is no set with libraries for a phone")
        return self

    @property
    def chosen(self) -> Toolchain:
        """The default set."""
        return next(each for each in self.sets if each.name == self.default)

    @property
    def newest_for_phones(self) -> str:
        """The newest QAIRT version whose libraries for a phone are published."""
        return max((each.phone.qnn_runtime for each in self.sets if each.phone), key=version)

    def of(self, packages: dict[str, str]) -> Toolchain | None:
        """The set of installed packages, or None if nobody tried them together.

        Args:
            packages: versions by name, as in ``Toolchain.packages``.
        """
        return next((each for each in self.sets if each.packages == packages), None)


@functools.cache
def load_toolchains(path: Path = TOOLCHAINS_FILE) -> Toolchains:
    """The sets.

    Raises:
        ConfigError: the file doesn't follow its schema.
    """
    return read_toml(path, Toolchains)
