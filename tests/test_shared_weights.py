"""Several sizes in one context binary: their weights are there once, and each computes its QDQ graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import quantized

from qnn_sd.compile import SharedJob, compile_component, compile_shared, run_shared
from qnn_sd.compile.shared_weights import binary_name, equal_weights, wrapper_name
from qnn_sd.errors import CompileError, QuantizeError, VerificationError
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.metrics import sqnr_db
from qnn_sd.quantize import RoundingData, quantize_by_adaround

SIZES = {"128x128": (16, 16), "192x128": (16, 24)}
CHANNELS = 128


def network(height: int, width: int) -> Callable[[Graph], None]:
    """Three convolutions, the second with most of the weights."""

    def build(g: Graph) -> None:
        weights = RandomTensors(4)
        x = conv(g, weights, "first", g.input("x", (1, 3, height, width)), CHANNELS)
        x = conv(g, weights, "second", g.node("Relu", [x], x.shape, "relu"), CHANNELS)
        g.output(conv(g, weights, "third", x, 4), "y")

    return build


def feeds(size: str) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).standard_normal((1, 3, *SIZES[size]), np.float32)}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> SharedJob:
    folder = tmp_path_factory.mktemp("sizes")
    sources = {size: quantized(network(*SIZES[size]), feeds(size), folder / size) for size in SIZES}
    return SharedJob(sources, 57, 75, 3)


@pytest.fixture(scope="module")
def compiled(job: SharedJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    made = compile_shared(job, folder)
    assert made["context_binary_bytes"] == (folder / binary_name(job)).stat().st_size
    assert made["equal_weight_bytes"] > CHANNELS * CHANNELS * 9
    assert made["equal_weight_bytes"] < made["weight_bytes"], "biases depend on each size's ranges"
    return folder


def test_one_file_holds_the_weights_once(job: SharedJob, compiled: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in compiled.iterdir()) == sorted(
        [binary_name(job), *(wrapper_name(size) for size in SIZES)]
    )
    alone = compile_component(job.sources["128x128"], 57, 75, 3, tmp_path)["context_binary_bytes"]
    assert (compiled / binary_name(job)).stat().st_size < 1.4 * alone


def test_each_wrapper_names_its_graph_in_the_file(job: SharedJob, compiled: Path) -> None:
    content = (compiled / binary_name(job)).read_bytes()
    names = set()
    for size, (height, width) in SIZES.items():
        model = onnx.load(str(compiled / wrapper_name(size)), load_external_data=False)
        [node] = [node for node in model.graph.node if node.op_type == "EPContext"]
        assert node.name.encode() in content
        names.add(node.name)
        assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, height, width]
    assert len(names) == len(SIZES)


def test_each_size_computes_its_qdq_graph(job: SharedJob, compiled: Path) -> None:
    found = run_shared(job, compiled, {size: [feeds(size)] for size in SIZES})
    for expected, outputs in found.values():
        assert sqnr_db(expected[0]["y"], outputs[0]["y"]) > 70


def test_another_file_is_not_verified_by_compiling_again(job: SharedJob, compiled: Path, tmp_path: Path) -> None:
    content = bytearray((compiled / binary_name(job)).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / binary_name(job)).write_bytes(content)
    with pytest.raises(VerificationError, match="can't be verified") as refused:
        run_shared(job, tmp_path, {"128x128": [feeds("128x128")]})
    assert "other bytes" in refused.value.why


def test_graphs_with_other_weights_have_nothing_alike(job: SharedJob, tmp_path: Path) -> None:
    def other(g: Graph) -> None:
        g.output(conv(g, RandomTensors(9), "second", g.input("x", (1, CHANNELS, 8, 8)), CHANNELS), "y")

    folder = quantized(other, {"x": np.ones((1, CHANNELS, 8, 8), np.float32)}, tmp_path)
    assert equal_weights([job.sources["128x128"], folder])[0] == 0


def test_a_size_that_is_refused_is_named(job: SharedJob, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="refused 128x128, 192x128 with shared weights"):
        compile_shared(replace(job, sources={**job.sources, "192x128": tmp_path}), tmp_path)


def test_another_sizes_rounding_is_taken(job: SharedJob, tmp_path: Path) -> None:
    """AdaRound leaves each size other weights; taken from the first, the second's are the same."""
    rounded = {}
    for size, weights in (("128x128", None), ("192x128", None), ("taken", "128x128")):
        shape = SIZES["192x128" if size == "taken" else size]
        floats = job.sources["192x128" if size == "taken" else size].parent / "float"
        rng = np.random.default_rng(3)
        samples = [{"x": rng.standard_normal((1, 3, *shape), np.float32)} for _ in range(4)]
        rounded[size] = tmp_path / size
        rounded[size].mkdir()
        data = RoundingData(samples[:2], samples[2:], tmp_path / f"{size}.work")
        given = rounded[weights] if weights else None
        quantize_by_adaround(floats, samples[:2], rounded[size], data, weights=given)
    weights_bytes = CHANNELS * CHANNELS * 9
    assert equal_weights([rounded["128x128"], rounded["192x128"]])[0] < weights_bytes
    assert equal_weights([rounded["128x128"], rounded["taken"]])[0] > weights_bytes
    assert not (rounded["taken"] / "rounding.json").exists()


def test_a_graph_without_these_weights_is_refused(job: SharedJob, tmp_path: Path) -> None:
    def other(g: Graph) -> None:
        g.output(conv(g, RandomTensors(9), "elsewhere", g.input("x", (1, 8, 8, 8)), 8), "y")

    folder = quantized(other, {"x": np.ones((1, 8, 8, 8), np.float32)}, tmp_path)
    made = tmp_path / "made"
    made.mkdir()
    samples = [feeds("128x128")]
    data = RoundingData(samples, samples, tmp_path / "work")
    with pytest.raises(QuantizeError, match="No weight of"):
        quantize_by_adaround(job.sources["128x128"].parent / "float", samples, made, data, weights=folder)
