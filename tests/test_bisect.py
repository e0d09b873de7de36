"""The bisection names the op at fault, on what the HTP compiler is known to get wrong, among other ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from graphs import quantized

from qnn_sd import qnn_provider
from qnn_sd.compile.bisect.bisection import Bisection, bisect
from qnn_sd.compile.bisect.trial import Ran, Trial
from qnn_sd.config import load_profile
from qnn_sd.export.blocks import norm
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.blocks.norm import affine_of, group_norm
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph, Value
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.reference import outputs_of, reference_session
from qnn_sd.runner import Feeds

V85 = (113, 85)


def in_process(soc_model: int, htp_arch: int) -> Trial:
    """Trials in this process, ten times as fast; for graphs at which nothing crashes."""

    def trial(folder: Path, samples: Sequence[Feeds]) -> Ran:
        htp = qnn_provider.session(folder / MODEL_FILE, qnn_provider.htp_options(soc_model, htp_arch))
        cpu = reference_session(folder / MODEL_FILE)
        return Ran(*([outputs_of(each, feeds) for feeds in samples] for each in (cpu, htp)))

    return trial


def healthy(g: Graph, x: Value, rng: np.random.Generator, name: str, count: int) -> Value:
    """Some ops that the compiler gets right."""
    for number in range(count):
        here = f"{name}.{number}"
        kind = rng.choice(["conv", "relu", "residual", "scaled"])
        if kind == "conv":
            x = conv(g, RandomTensors(int(rng.integers(99))), here, x, x.shape[1])
        elif kind == "relu":
            x = g.node("Relu", [x], x.shape, here)
        elif kind == "residual":
            x = g.node("Add", [x, conv(g, RandomTensors(number), f"{here}.c", x, x.shape[1])], x.shape, here)
        else:
            factor = g.constant(f"{here}.f", rng.uniform(0.5, 2, (1, x.shape[1], 1, 1)))
            x = g.node("Mul", [x, factor], x.shape, here)
    return x
