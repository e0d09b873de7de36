"""What an examination is given: whom to examine, and what the stages do for it, which a target doesn't know."""

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
    """What is examined.

    Attributes:
        serial: the phone, as typed; None where there is only one.
        soc: as typed, for a phone whose SoC is unknown; None for the phone's own.
        components: that an image needs.
        cache: where the runtime libraries were fetched to.
    """

    serial: str | None
    soc: str | None
    components: tuple[str, ...]
    cache: Path


@dataclass(frozen=True)
class GeneratedImage:
    """An image and what it cost.

    Attributes:
        image: RGB, [height, width, 3] uint8.
        usage: calls and seconds in all, as the host sees them, by component.
    """

    image: Image
    usage: Mapping[str, tuple[int, float]]


@dataclass(frozen=True)
class DiagnosticsContext:
    """What the stages do for an examination.

    Attributes:
        bundle: makes a bundle for a SoC; tells whether anything had to be built for it.
        generate: generates a fixed image with a bundle's components on a runner, the same one each time.
    """

    bundle: Callable[[DeviceProfile], tuple[OpenBundle, bool]]
    generate: Callable[[Runner, OpenBundle], GeneratedImage]
