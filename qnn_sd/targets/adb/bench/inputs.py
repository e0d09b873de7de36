"""What components are fed with while they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.targets.adb.worker.protocol import Port

SEED = 20


@dataclass(frozen=True)
class BenchInputs:
    """The inputs of one component, the same in every call.

    Attributes:
        feeds: by name, in the ports' shapes and dtypes.
        choices: of the input that differs between guidance passes, one for each pass; empty without guidance.
    """

    feeds: dict[str, NDArray[Any]]
    choices: tuple[NDArray[np.float32], ...] = ()


def random_inputs(ports: Sequence[Port], vocabulary: int, guided: str | None = None, passes: int = 0) -> BenchInputs:
    """Random numbers of a fixed seed; an HTP takes as long for these as for any others.

    Args:
        ports: the component's inputs as the worker reports them.
        vocabulary: number of tokens; int32 inputs are token ids below it. float32 ones are standard normal.
        guided: name of the input that differs between guidance passes, or None.
        passes: how many there are.
    """
    rng = np.random.default_rng(SEED)

    def drawn(port: Port) -> NDArray[Any]:
        if port.dtype.kind == "i":
            return rng.integers(0, vocabulary, port.shape, port.dtype)
        return rng.standard_normal(port.shape, np.float32)

    return BenchInputs(
        {port.name: drawn(port) for port in ports if port.name != guided},
        tuple(drawn(port) for port in ports if port.name == guided for _pass in range(passes)),
    )
