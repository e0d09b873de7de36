"""Weights of 4 bits beside weights of 8: as files, as numbers, on the emulator, and rounded by AdaRound."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from graphs import htp_db, quantized, run
from onnx import TensorProto

from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.compile.traffic_bound import traffic_bound
from qnn_sd.errors import QuantizeError
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.blocks.linear import Weights, linear
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import DATA_FILE, MODEL_FILE, load_structure, read_array
from qnn_sd.quantize import QuantizationScheme, RoundingData, quantize_by_adaround, quantize_component
from qnn_sd.quantize.adaround.layers import quantized_layers
from qnn_sd.quantize.encodings.aimet_format import read
from qnn_sd.quantize.encodings.encoding import integer_limits, per_channel

CHANNELS, SIDE = 20, 12
SCHEME = QuantizationScheme(weight_overrides={"narrow.*": 4})
FILES = (MODEL_FILE, DATA_FILE, "encodings.json", "encodings.2.0.0.json")
Feeds = dict[str, np.ndarray]


def two_convs(g: Graph) -> None:
    """A convolution with weights of 4 bits (an odd number of them), then one with weights of 8."""
    weights = RandomTensors(6)
    x = conv(g, weights, "narrow", g.input("x", (1, CHANNELS + 1, SIDE, SIDE)), CHANNELS + 3)
    g.output(conv(g, weights, "wide", g.node("Relu", [x], x.shape, "relu"), CHANNELS), "y")


def smooth(seed: int) -> Feeds:
    """A map of a few causes behind many channels, so that AdaRound has correlations to go by."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(5).standard_normal((CHANNELS + 1, 4))
    causes = np.einsum("ck,kyx->cyx", mixing, rng.standard_normal((4, SIDE // 3, SIDE // 3)))[None]
    noise = 0.1 * rng.standard_normal((1, CHANNELS + 1, SIDE, SIDE))
    return {"x": (np.kron(causes, np.ones((1, 1, 3, 3))) + noise).astype(np.float32)}


@pytest.fixture(scope="module")
def qdq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The QDQ graph, beside its float graph."""
    return quantized(two_convs, smooth(1), tmp_path_factory.mktemp("bits"), SCHEME)


def test_integer_limits() -> None:
    assert integer_limits(4, signed=True) == (-8, 7)
    assert integer_limits(4, signed=True, narrow_range=True) == (-7, 7)
    assert integer_limits(8, signed=True, narrow_range=True) == (-127, 127)
    assert integer_limits(16, signed=False) == (0, 65535)
    assert integer_limits(32, signed=True) == (-(2**31), 2**31 - 1)


def test_a_scheme_names_weights_by_pattern_and_the_first_match_counts() -> None:
    scheme = QuantizationScheme(weight_overrides={"down.0.*": 8, "down.*.weight": 4})
    weights = ("down.0.weight", "down.1.weight", "down.1.other", "up.weight")
    assert scheme.bits_by_weight(weights) == dict(zip(weights, (8, 4, 8, 8), strict=True))
    assert json.loads(json.dumps(asdict(scheme)))["weight_overrides"] == {"down.0.*": 8, "down.*.weight": 4}
    with pytest.raises(QuantizeError, match=r"No weight .* matches down\.0\.\*"):
        scheme.bits_by_weight(("up.weight",))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"weight_bits": 5}, "5 bits for weights"),
        ({"activation_bits": 8}, "8 bits for activations"),
        ({"weight_overrides": {"up.*": 2}}, r"2 bits for weights up\.\*"),
    ],
)
def test_widths_that_are_not_written_are_refused(arguments: dict[str, object], named: str) -> None:
    with pytest.raises(QuantizeError, match=named):
        QuantizationScheme(**arguments)


@pytest.mark.parametrize(
    ("scheme", "label"),
    [
        (QuantizationScheme(), "W8A16"),
        (SCHEME, "W8A16, 1 weight at 4 bits"),
        (QuantizationScheme(weight_bits=4), "W4A16"),
    ],
)
def test_the_label_says_what_the_graph_has(scheme: QuantizationScheme, label: str, qdq: Path, tmp_path: Path) -> None:
    metadata = quantize_component(qdq.parent / "float", [smooth(1)], tmp_path, scheme=scheme)
    assert metadata["scheme"] == label
    (tmp_path / "again").mkdir()
    brought = quantize_component(qdq.parent / "float", [], tmp_path / "again", encodings=tmp_path / FILES[2])
    assert brought["scheme"] == label


def test_weights_of_4_bits_are_onnx_int4_two_in_a_byte(qdq: Path) -> None:
    onnx.checker.check_model(qdq / MODEL_FILE, full_check=True)
    model = load_structure(qdq)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    narrow, wide = constants["narrow.weight.q"], constants["wide.weight.q"]
    assert (narrow.data_type, wide.data_type) == (TensorProto.INT4, TensorProto.INT8)
    assert constants["narrow.weight.zero_point"].data_type == TensorProto.INT4
    length = {entry.key: entry.value for entry in narrow.external_data}["length"]
    elements = (CHANNELS + 3) * (CHANNELS + 1) * 9
    assert elements % 2, "the last byte is half full"
    assert int(length) == (elements + 1) // 2
    assert [layer.bits for layer in quantized_layers(model)] == [4, 8]


def test_the_integers_are_those_of_the_definition(qdq: Path) -> None:
    """Each channel reaches 7, never -8."""
    floats, found = ({tensor.name: read_array(tensor, folder) for tensor in load_structure(folder).graph.initializer}
                     for folder in (qdq.parent / "float", qdq))  # fmt: skip
    weight, integers = floats["narrow.weight"], found["narrow.weight.q"].astype(np.int8)
    largest = np.abs(weight).max(axis=(1, 2, 3))
    assert found["narrow.weight.scale"] == pytest.approx(largest / 7, rel=1e-6)
    expected = np.rint(weight / found["narrow.weight.scale"].reshape(-1, 1, 1, 1))
    assert np.array_equal(integers, expected)
    assert (np.abs(integers).max(axis=(1, 2, 3)) == 7).all()


def test_onnxruntime_computes_the_definition(qdq: Path) -> None:
    """Numpy and torch in float64, from the stored integers; a sum between two steps may go either way."""
    stored = {tensor.name: read_array(tensor, qdq) for tensor in load_structure(qdq).graph.initializer}
    feeds = smooth(2)

    def rounded(x: np.ndarray, name: str) -> np.ndarray:
        scale, zero = (stored[f"{name}.{part}"].astype(np.float64) for part in ("scale", "zero_point"))
        return (np.clip(np.rint(x / scale) + zero, 0, 65535) - zero) * scale

    def layer(x: np.ndarray, name: str) -> np.ndarray:
        scale = stored[f"{name}.weight.scale"].astype(np.float64)
        weight = stored[f"{name}.weight.q"].astype(np.float64) * scale.reshape(-1, 1, 1, 1)
        bias = stored[f"{name}.bias.q"] * stored[f"{name}.bias.scale"].astype(np.float64)
        return torch.nn.functional.conv2d(*map(torch.from_numpy, (x, weight, bias)), padding=1).numpy()

    first = rounded(layer(rounded(feeds["x"].astype(np.float64), "x.dq"), "narrow"), "narrow.dq")
    expected = rounded(layer(rounded(np.maximum(first, 0), "relu.dq"), "wide"), "y")
    found = run(qdq, feeds)
    steps = np.abs(found - expected) / stored["y.scale"]
    assert steps.max() < 1.5
    assert (steps < 0.5).mean() > 0.95
    assert sqnr_db(expected, found) > 90


@pytest.mark.parametrize("name", FILES[2:])
def test_int4_survives_aimets_files(name: str, qdq: Path, tmp_path: Path) -> None:
    entry = read(qdq / name)["narrow.weight"]
    assert (entry.bits, entry.signed, entry.zero_point, entry.per_channel) == (4, True, 0, True)
    quantize_component(qdq.parent / "float", [], tmp_path, encodings=qdq / name)
    for file in FILES:
        assert (tmp_path / file).read_bytes() == (qdq / file).read_bytes(), file


def test_int4_is_written_as_aimet_writes_it(qdq: Path) -> None:
    """By its specification: bw 4 with the offset -8; output_dtype int4."""
    older = {entry["name"]: entry for entry in json.loads((qdq / FILES[2]).read_text())["param_encodings"]}
    newer = {entry["name"]: entry for entry in json.loads((qdq / FILES[3]).read_text())["encodings"]}
    assert (older["narrow.weight"]["bw"], set(older["narrow.weight"]["offset"])) == (4, {-8})
    assert older["narrow.weight"]["is_sym"] is True
    assert (newer["narrow.weight"]["output_dtype"], newer["narrow.weight"]["axis"]) == ("int4", 0)
    assert newer["wide.weight"]["output_dtype"] == "int8"


@pytest.mark.parametrize("soc", ["sm8550", "sm8650"])
def test_the_htp_computes_convolutions_of_4_bits(soc: str, tmp_path: Path) -> None:
    assert htp_db(two_convs, smooth(2), tmp_path, soc, SCHEME) >= 50


@pytest.mark.parametrize("soc", ["sm8550", "sm8650"])
def test_the_htp_computes_products_of_4_bits(soc: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """A linear layer of tokens, as the text encoder has them."""

    def build(g: Graph) -> None:
        x = g.input("x", (1, 77, 64))
        g.output(linear(g, "linear", x, Weights.read(RandomTensors(2), "linear", 96, 64)), "y")

    feeds = {"x": rng.standard_normal((1, 77, 64), np.float32)}
    assert htp_db(build, feeds, tmp_path, soc, QuantizationScheme(weight_bits=4)) >= 50


def test_weights_of_4_bits_are_half_the_bytes_to_read(qdq: Path, tmp_path: Path) -> None:
    eight = quantized(two_convs, smooth(1), tmp_path)
    saved = traffic_bound(QdqGraph(eight), 8.0).weights - traffic_bound(QdqGraph(qdq), 8.0).weights
    elements, zero_points = (CHANNELS + 3) * (CHANNELS + 1) * 9, CHANNELS + 3
    assert saved == pytest.approx((elements + zero_points) / 2, abs=zero_points)


def test_adaround_of_4_bits_beats_nearest_on_held_out_data(qdq: Path, tmp_path: Path) -> None:
    source, folders = qdq.parent / "float", [tmp_path / "nearest", tmp_path / "adaround"]
    samples, held_out, others = (
        [smooth(seed) for seed in seeds] for seeds in (range(20), range(20, 28), range(28, 36))
    )
    for folder in folders:
        folder.mkdir()
    quantize_component(source, samples, folders[0], scheme=SCHEME)
    rounding = RoundingData(samples, held_out, tmp_path / "work")
    metadata = quantize_by_adaround(source, samples, folders[1], rounding, scheme=SCHEME)
    assert metadata["scheme"] == "W8A16, 1 weight at 4 bits"
    expected = np.array([run(source, feeds) for feeds in others])
    nearest, adaround = (sqnr_db(expected, np.array([run(folder, feeds) for feeds in others])) for folder in folders)
    assert adaround > nearest + 3
    before, after = (
        {layer.name: read_array(layer.weight, folder).astype(int) for layer in quantized_layers(load_structure(folder))}
        for folder in folders
    )
    for name, largest in (("narrow", 7), ("y", 127)):
        assert np.abs(after[name]).max() == largest
        assert np.abs(after[name] - before[name]).max() == 1
    constants = {tensor.name: tensor.data_type for tensor in load_structure(folders[1]).graph.initializer}
    assert constants["narrow.weight.q"] == TensorProto.INT4


@pytest.mark.parametrize("axis", [0, 1])
def test_a_channel_of_4_bits_errs_by_half_a_step_at_most(axis: int, rng: np.random.Generator) -> None:
    weight = rng.standard_normal((30, 40)).astype(np.float32)
    encoding = per_channel(weight, axis, bits=4)
    scale = np.expand_dims(encoding.scale, 1 - axis)
    integers = encoding.quantize(weight)
    assert integers.dtype == np.int8
    assert (np.abs(integers * scale - weight) <= 0.5001 * scale).all()
