"""What an examination is given: whom to examine, and what the stages do for it, which a target doesn't know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qnn_sd.bundle_format import OpenBundle
from qnn_sd.config import DeviceProfile
from qnn_sd.runner import Runner

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Subject:
    """What is examined.

    Attributes:
        serial: the phone, as typed; None where there is only one.
        soc: as typed, for a phone whose SoC is unknown; None for the phone's own.
        components: that a picture needs.
        cache: where the runtime libraries were fetched to.
    """

    serial: str | None
    soc: str | None
    components: tuple[str, ...]
    cache: Path


@dataclass(frozen=True)
class Painted:
    """A picture and what it cost.

    Attributes:
        picture: RGB, [height, width, 3] uint8.
        usage: calls and seconds in all, as the host sees them, by component.
    """

    picture: Picture
    usage: Mapping[str, tuple[int, float]]


@dataclass(frozen=True)
class Means:
    """What the stages do for an examination.

    Attributes:
        bundle: makes a bundle for a SoC; tells whether anything had to be built for it.
        paint: paints a fixed picture with a bundle's components on a runner, the same one each time.
    """

    bundle: Callable[[DeviceProfile], tuple[OpenBundle, bool]]
    paint: Callable[[Runner, OpenBundle], Painted]
