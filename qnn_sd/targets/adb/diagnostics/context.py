"""The input of the diagnostics: which phone, and the work of other stages, which a target doesn't import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.config import DeviceProfile
from qnn_sd.runner import Runner

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class DiagnosticsRequest:
    """The phone to check.

    Attributes:
        serial: as typed; None for the only phone.
        soc: as typed, for a phone whose SoC is unknown; None for the phone's own.
        components: the components that an image needs.
        cache: the folder that the runtime libraries were fetched to.
    """

    serial: str | None
    soc: str | None
    components: tuple[str, ...]
    cache: Path


@dataclass(frozen=True)
class GeneratedImage:
    """An image, and the calls that it took.

    Attributes:
        image: RGB, [height, width, 3] uint8.
        usage: number of calls and total seconds on the host's clock, by component.
    """

    image: Image
    usage: Mapping[str, tuple[int, float]]


@dataclass(frozen=True)
class DiagnosticsContext:
    """The work of other stages.

    Attributes:
        build_bundle: builds the bundle for a SoC; also returns whether anything was built, rather than cached.
        generate: generates a fixed image with a bundle's components on a runner, the same image each time.
    """

    build_bundle: Callable[[DeviceProfile], tuple[OpenBundle, bool]]
    generate: Callable[[Runner, OpenBundle], GeneratedImage]
