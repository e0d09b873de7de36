"""What benchmarks/adaround.py judges by: the power of layers' errors, and AIMET's weights as integers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

from qnn_sd.export.blocks.basic import conv, linear_row
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph, Value
from qnn_sd.quantize.encodings import Encodings
from qnn_sd.quantize.encodings.encoding import per_channel
from qnn_sd.quantize.graph import FloatGraph

sys.path.append(str(ROOT / "benchmarks"))

from aimet_result import to_integers
from layer_errors import error_powers

WEIGHTS = RandomTensors(5)


def strided(g: Graph, x: Value) -> Value:
    return conv(g, WEIGHTS, "layer", x, 7, stride=2, pads=(0, 0, 1, 1))


def row(g: Graph, x: Value) -> Value:
    return linear_row(g, WEIGHTS, "layer", x, 6)


def product(g: Graph, x: Value) -> Value:
    weight = g.constant("layer.weight", WEIGHTS.get("layer.weight", (x.shape[-1], 6)))
    return g.node("MatMul", [x, weight], (*x.shape[:-1], 6), "layer")


def convolved(x: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.conv2d(torch.nn.functional.pad(x, (0, 1, 0, 1)), error, stride=2)


@pytest.mark.parametrize(
    ("layer", "shape", "reference"),
    [
        (strided, (1, 5, 8, 8), convolved),
        (row, (1, 9), torch.nn.functional.linear),
        (product, (1, 11, 9), torch.matmul),
    ],
)
def test_a_layers_error_is_what_its_output_is_wrong_by(
    layer: Callable[[Graph, Value], Value],
    shape: tuple[int, ...],
    reference: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    tmp_path: Path,
    rng: np.random.Generator,
) -> None:
    with Graph("test", tmp_path) as g:
        g.output(layer(g, g.input("x", shape)), "y")
    graph = FloatGraph(tmp_path)
    weight = np.array(graph.array("layer.weight"))
    encoding = per_channel(weight, graph.roles.weights["layer.weight"])
    nearest = encoding.quantize(weight)
    other = nearest + rng.integers(0, 2, weight.shape, np.int8) * np.where(nearest < 127, 1, 0).astype(np.int8)
    roundings = {"nearest": {"layer.weight": nearest}, "other": {"layer.weight": other}}
    samples = [{"x": rng.standard_normal(shape).astype(np.float32)} for _ in range(3)]
    found = error_powers(graph, Encodings({}, {"layer.weight": encoding}), roundings, ["y"], samples)
    scale = np.expand_dims(encoding.scale, tuple(axis for axis in range(weight.ndim) if axis != encoding.axis))
    for name, integers in roundings.items():
        error = torch.from_numpy(integers["layer.weight"].astype(np.float64) * scale - weight)
        outputs = [reference(torch.from_numpy(feeds["x"]).double(), error) for feeds in samples]
        assert found[name]["y"] == pytest.approx(sum(float(each.square().sum()) for each in outputs), rel=1e-4)
    assert found["other"]["y"] > 2 * found["nearest"]["y"]


def test_aimets_weights_become_integers() -> None:
    exact = np.array([[127.0, 3.2, -3.2, 5.9], [-12.7, 0.26, 0.04, 0.0]], np.float32)
    encoding = per_channel(exact, 0)
    assert encoding.scale == pytest.approx([1.0, 0.1])
    # In steps: exact, up, down, 3.1 too high; exact, 2.3 for 2.6, up, 2 too low.
    left = np.array([[127.0, 4.0, -4.0, 9.0], [-12.7, 0.23, 0.1, -0.2]], np.float32)
    integers, strayed, unsettled = to_integers(left, exact, encoding)
    assert integers.tolist() == [[127, 4, -4, 9], [-127, 2, 1, -2]]
    assert (strayed, unsettled) == (2, 1)
