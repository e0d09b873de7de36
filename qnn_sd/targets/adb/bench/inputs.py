"""What components are fed with while they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qnn_sd.runner import Array, Feeds
from qnn_sd.targets.adb.worker.protocol import TensorSpec

SEED = 20


@dataclass(frozen=True)
class BenchInputs:
    """The inputs of one component, the same in every call.

    Attributes:
        feeds: inputs that all passes share; without guidance all inputs.
        passes: inputs that differ between guidance passes, for each pass; empty without guidance.
    """

    feeds: Feeds
    passes: tuple[Feeds, ...] = ()


def random_inputs(
    specs: Sequence[TensorSpec], vocabulary: int, guidance_inputs: Sequence[str] = (), passes: int = 0
) -> BenchInputs:
    """Random numbers of a fixed seed; an HTP takes as long for these as for any others.

    Args:
        specs: the component's inputs as the worker reports them.
        vocabulary: number of tokens; int32 inputs are token ids below it. float32 ones are standard normal.
        guidance_inputs: names of the inputs that differ between guidance passes; none for a component without guidance.
        passes: how many there are.
    """
    rng = np.random.default_rng(SEED)

    def drawn(spec: TensorSpec) -> Array:
        if spec.dtype.kind == "i":
            return rng.integers(0, vocabulary, spec.shape, spec.dtype)
        return rng.standard_normal(spec.shape, np.float32)

    shared = {spec.name: drawn(spec) for spec in specs if spec.name not in guidance_inputs}
    if not guidance_inputs:
        return BenchInputs(shared)
    differing = [spec for spec in specs if spec.name in guidance_inputs]
    return BenchInputs(shared, tuple({spec.name: drawn(spec) for spec in differing} for _pass in range(passes)))
